-- Removes the entries of a device, or the one with the id if that is not '', except those that may have an attempt under way. The device's
-- due time does not change. Returns how many were removed, or -1 if a move is given whose pushes are not being moved here.
local key, id, move = ARGV[1], ARGV[2], ARGV[3]
unstoppable()
if move and redis.call('GET', KEYS[13]) ~= move then return -1 end
local d = load(key)
if not d then return 0 end
local t, dropped = now(), 0
for i = #d.items, 1, -1 do
  local it = d.items[i]
  if (id == '' or id == it.id) and idle(d, it, t) then
    if leased(d, it) then d.holder = '' end -- the lease has lapsed
    remove(d, i)
    dropped = dropped + 1
  end
end
if dropped > 0 then save(d) end
return dropped
