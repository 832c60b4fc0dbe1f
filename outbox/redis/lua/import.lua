-- Adds what export.lua returned of a device in another shard, after what the device has here, whatever room there is. Entries that are here
-- already are not added again. Returns how many were added; -1 if pushes are not being moved here, -2 if the device cannot be read.
local apps, shards = KEYS[13], KEYS[14]
local app, key, move, delay, tries = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
if redis.call('GET', shards) ~= move then return -1 end
local t = now()
local d = load(key)
if not d and redis.call('HEXISTS', devices, key) == 1 then return -2 end
d = d or {key = key, tries = tries, due = t + delay, holder = '', items = {}}
local added = {}
for i = 6, #ARGV, 3 do
  local it = cjson.decode(ARGV[i])
  if not find(d, it.id) then
    it.seq = redis.call('HINCRBY', counts, 'seq', 1)
    redis.call('HSET', pushes, number(it.seq), ARGV[i + 1])
    redis.call('ZADD', expiry, number(t + tonumber(ARGV[i + 2])), number(it.seq) .. ':' .. key)
    redis.call('HINCRBY', counts, 'entries', 1)
    redis.call('HINCRBY', counts, 'size', number(it.size))
    table.insert(d.items, it)
    table.insert(added, it)
  end
end
if #added == 0 then return 0 end
save(d)
for _, it in ipairs(added) do stand(d, it, t) end
redis.call('ZADD', listing, 0, key)
redis.call('SADD', apps, app)
return #added
