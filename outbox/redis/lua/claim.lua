-- Claims an event for a gateway, unless another one has it. Returns 0: this gateway has it, 1: another one has it, 2: it was delivered.
local event, owner, duration = KEYS[1], ARGV[1], ARGV[2]
local holder = redis.call('GET', event)
if holder == 'done' then return 2 end
if holder and holder ~= owner then return 1 end
redis.call('SET', event, owner, 'PX', duration)
return 0
