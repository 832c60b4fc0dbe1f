-- Makes a device due, unless it is leased. 1: it has entries; 0: it has none.
local key = ARGV[1]
unstoppable()
if redis.call('HEXISTS', devices, key) == 0 then return 0 end
if redis.call('HEXISTS', leases, key) == 0 then redis.call('ZADD', due, 'XX', 'LT', number(now()), key) end
return 1
