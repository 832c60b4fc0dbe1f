-- Ends a gateway's lease of an entry. The device is due again after the delay.
local key, id, owner, delay = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
unstoppable()
local d = load(key)
if not d then return 0 end
release(d, id, owner, now() + delay)
save(d)
return 1
