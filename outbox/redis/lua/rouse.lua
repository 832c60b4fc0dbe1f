-- Makes devices due that are not leased. It looks at `most` of them at most, after those that were skipped. Returns how many it looked at,
-- and how many of these it skipped.
local skip, most = ARGV[1], ARGV[2]
unstoppable()
local t = now()
local later = redis.call('ZRANGEBYSCORE', due, '(' .. number(t), '+inf', 'LIMIT', skip, most)
local skipped = 0
for _, key in ipairs(later) do
  if redis.call('HEXISTS', leases, key) == 1 then
    skipped = skipped + 1
  else
    redis.call('ZADD', due, number(t), key)
  end
end
return {#later, skipped}
