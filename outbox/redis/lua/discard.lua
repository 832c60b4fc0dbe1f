-- Removes the entries of a device whose pushkey_ts is not newer. Returns how many.
local key, ts = ARGV[1], tonumber(ARGV[2])
unstoppable()
local d = load(key)
if not d then return 0 end
local removed = 0
for i = #d.items, 1, -1 do
  if d.items[i].ts <= ts then
    remove(d, i)
    removed = removed + 1
  end
end
save(d)
return removed
