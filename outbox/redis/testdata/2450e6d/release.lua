-- Ends a gateway's lease of an entry. The device is due again after the delay, and has been tried once more, or not (1 or 0).
local key, id, owner, delay, tried = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
unstoppable()
local d = load(key)
if not d then return 0 end
release(d, id, owner, now() + delay, tried)
save(d)
return 1
