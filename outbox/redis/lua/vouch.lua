-- Remembers vouches: pairs of a name and its time, in milliseconds. Of two times, the later counts. Above the maximum, those that end first
-- are removed. Ended ones are removed a few at a time: this server does nothing else meanwhile.
local vouched, most = KEYS[1], tonumber(ARGV[1])
local time = redis.call('TIME')
local t = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 2, #ARGV, 2 do
  redis.call('ZADD', vouched, 'GT', string.format('%.0f', t + tonumber(ARGV[i + 1])), ARGV[i])
end
local over = math.min(redis.call('ZCOUNT', vouched, '-inf', t), 5000)
over = math.max(over, redis.call('ZCARD', vouched) - most)
if over > 0 then redis.call('ZREMRANGEBYRANK', vouched, 0, over - 1) end
local last = redis.call('ZRANGE', vouched, -1, -1, 'WITHSCORES')
if last[2] then redis.call('PEXPIREAT', vouched, string.format('%.0f', tonumber(last[2]))) end
return 0
