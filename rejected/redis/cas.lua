-- Replaces a value ('' stands for none) by another, to be kept for so many milliseconds. Returns 0 if there is yet another value by now.
local before = redis.call('GET', KEYS[1]) or ''
if before ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1
