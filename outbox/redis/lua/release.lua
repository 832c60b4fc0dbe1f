-- Ends a gateway's lease of an entry. The device is due again after the delay. If tried is 1 and not 0, its tries grow by one.
local key, id, owner, delay, tried = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
unstoppable()
local d = load(key)
if not d then return 0 end
release(d, id, owner, now() + delay, tried)
save(d)
return 1
