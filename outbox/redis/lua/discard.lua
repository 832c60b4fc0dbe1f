-- Removes the entries of a device whose pushkey_ts is not newer. An entry that came to a gateway before this time, by its clock, has no
-- effect if it is accepted late. Returns how many were removed.
local discarded = KEYS[13]
local key, ts, at, lasts = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
unstoppable()
redis.call('SET', discarded, ts .. ' ' .. at, 'PX', lasts)
local d = load(key)
if not d then return 0 end
local removed = 0
for i = #d.items, 1, -1 do
  if d.items[i].ts <= tonumber(ts) then
    remove(d, i)
    removed = removed + 1
  end
end
save(d)
return removed
