-- Returns what a device has, for import.lua: a 0, the milliseconds until it is due, its tries, and for each entry its item, its push and the
-- milliseconds until it expires. Otherwise it returns only 1: an attempt may be under way, 2: it cannot be read, or 3: it has nothing.
local key = ARGV[1]
local t = now()
local d = load(key)
if not d then return {redis.call('HEXISTS', devices, key) == 1 and 2 or 3} end
if d.holder ~= '' and t < d.due then return {1} end
local result = {0, d.due - t, d.tries}
for _, it in ipairs(d.items) do
  if not idle(d, it, t) then return {1} end
  local seq = number(it.seq)
  local push = redis.call('HGET', pushes, seq)
  if push then
    it.runs, it.owner, it.took = nil, nil, nil
    local expires = tonumber(redis.call('ZSCORE', expiry, seq .. ':' .. key) or t)
    for _, v in ipairs({cjson.encode(it), push, expires - t}) do table.insert(result, v) end
  end
end
return result
