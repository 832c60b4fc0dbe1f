-- Leases devices that are due. Returns the milliseconds until the next one is due (-1: there is none), or only -2 if there is another number
-- of shards. Then follow
-- for each leased device: its name, the entry's id, the push, and the device's tries. A device that cannot be read is returned once without
-- an id, and is not due any more.
local shards = KEYS[13]
local owner, n, duration, own = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
unstoppable()
local set = redis.call('GET', shards)
if set and set ~= own then return {-2} end
local t = now()
local result = {0}
for _, key in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', number(t), 'LIMIT', 0, n)) do
  local d = load(key)
  local push
  while d and #d.items > 0 and not push do
    push = redis.call('HGET', pushes, number(d.items[1].seq))
    if not push then remove(d, 1) end -- it cannot be lost, unless somebody removed it by hand
  end
  if not d then
    redis.call('ZREM', due, key)
    if redis.call('HEXISTS', devices, key) == 1 then
      for _, v in ipairs({key, '', '', 0}) do table.insert(result, v) end
    end
  elseif push then
    d.holder, d.due = owner .. '/' .. d.items[1].id, t + duration
    stand(d, d.items[1], t)
    for _, v in ipairs({key, d.items[1].id, push, d.tries}) do table.insert(result, v) end
    save(d)
  else
    save(d)
  end
end
local first = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
result[1] = first[2] and math.max(0, tonumber(first[2]) - t) or -1
return result
