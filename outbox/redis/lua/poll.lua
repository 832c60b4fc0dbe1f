-- Returns a 0, and then the apps that have devices due within so many milliseconds, each with the milliseconds until its first one is due, below
-- 0 if it is overdue. Returns -2 if there is another number of shards. The command that changes nothing is refused where others would be, such
-- as at a replica.
local apps, shards = KEYS[1], KEYS[2]
local due, ahead, own = ARGV[1], tonumber(ARGV[2]), ARGV[3]
redis.call('SREM', apps, '')
local set = redis.call('GET', shards)
if set and set ~= own then return {-2} end
local time = redis.call('TIME')
local t = time[1] * 1000 + math.floor(time[2] / 1000)
local result = {0}
for _, app in ipairs(redis.call('SMEMBERS', apps)) do
  local first = redis.call('ZRANGE', due .. app, 0, 0, 'WITHSCORES')
  if first[2] and tonumber(first[2]) <= t + ahead then
    table.insert(result, app)
    table.insert(result, tonumber(first[2]) - t)
  end
end
return result
