-- Replaces an earlier time by a later one, in milliseconds, to be kept for so many milliseconds. A clock that runs ahead by more than an
-- hour does not beat the others.
local before = tonumber(redis.call('GET', KEYS[1]) or '')
local at = tonumber(ARGV[1])
if before and before >= at and before < at + 3600000 then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
