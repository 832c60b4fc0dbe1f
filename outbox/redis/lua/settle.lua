-- Removes an entry, and ends the gateway's lease of it. If the entry is accepted late, it does not come back. Returns how many entries the
-- device has left.
local gone = KEYS[13]
local key, id, owner, lasts = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
unstoppable()
redis.call('SET', gone, '', 'PX', lasts)
local d = load(key)
if not d then return 0 end
local i = find(d, id)
if i then remove(d, i) end
if #d.items > 0 and (d.holder == owner .. '/' .. id or d.holder == '' and i == 1) then reschedule(d, now(), 0) end
save(d)
return #d.items
