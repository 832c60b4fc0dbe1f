-- Remembers events that were delivered: triples of an event, the milliseconds to remember it, and 1, or 0 if accept.lua remembered it.
-- `events` has all of them by when they end. Above the maximum, those that end first are removed. Ended ones are removed a few at a time:
-- this server does nothing else meanwhile.
-- Returns how many were removed that had not ended.
local events = KEYS[1]
local base, most = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local t = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 3, #ARGV, 3 do
  local event, duration = ARGV[i], ARGV[i + 1]
  if ARGV[i + 2] == '1' then redis.call('SET', base .. event, 'done', 'PX', duration) end
  redis.call('ZADD', events, string.format('%.0f', t + tonumber(duration)), event)
end
local over = math.min(redis.call('ZCOUNT', events, '-inf', t), 5000)
if over > 0 then redis.call('ZREMRANGEBYRANK', events, 0, over - 1) end
local early = 0
local many = redis.call('ZCARD', events) - most
if many > 0 then
  early = math.max(0, many - redis.call('ZCOUNT', events, '-inf', t))
  for _, event in ipairs(redis.call('ZRANGE', events, 0, many - 1)) do
    -- A gateway may have claimed it since.
    if redis.call('GET', base .. event) == 'done' then redis.call('DEL', base .. event) end
  end
  redis.call('ZREMRANGEBYRANK', events, 0, many - 1)
end
local last = redis.call('ZRANGE', events, -1, -1, 'WITHSCORES')
if last[2] then redis.call('PEXPIREAT', events, string.format('%.0f', tonumber(last[2]))) end
return early
