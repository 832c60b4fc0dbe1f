-- Takes an entry in, with the note that its event needs no other delivery. 1: it is in, or needs not be; 0: there is no room.
local apps, note = KEYS[8], KEYS[9]
local app, key, owner, push = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local a = cjson.decode(ARGV[5]) -- id, size, badge, ts, running, delay, expires, remember, lease, entries, per_device, max_size
local t = now()

local d = load(key)
if d and find(d, a.id) then
  -- It was accepted before, and the answer was lost.
  if not a.running then
    release(d, a.id, owner, t + a.delay)
    save(d)
  end
  return 1
end
if a.remember > 0 and redis.call('GET', note) == 'done' then
  -- So was the event, with an answer that was lost, or it was delivered: the homeserver sent it again while nobody could be asked whose it is.
  return 1
end

local replaced, freed = {}, 0
if d and a.badge then
  for i, it in ipairs(d.items) do
    if it.badge and idle(d, it, t) then
      table.insert(replaced, 1, i) -- the last one first
      freed = freed + it.size
    end
  end
end
local entries = tonumber(redis.call('HGET', counts, 'entries') or 0)
local size = tonumber(redis.call('HGET', counts, 'size') or 0)
if entries - #replaced >= a.entries or size - freed + a.size > a.max_size
    or (d and #d.items - #replaced >= a.per_device) then
  return 0
end

local it = {seq = redis.call('HINCRBY', counts, 'seq', 1), id = a.id, size = a.size, ts = a.ts}
if a.badge then it.badge = true end
if a.running then it.runs, it.owner = t + a.lease, owner end
if not d then
  d = {key = key, tries = 0, due = t, holder = '', items = {}}
  if a.running then
    d.due, d.holder = it.runs, owner .. '/' .. it.id
  elseif a.delay > 0 then
    d.due, d.tries = t + a.delay, 1
  end
end
table.insert(d.items, it)
for _, i in ipairs(replaced) do remove(d, i) end
save(d)
redis.call('HSET', pushes, number(it.seq), push)
redis.call('ZADD', expiry, number(t + a.expires), number(it.seq) .. ':' .. key)
redis.call('HINCRBY', counts, 'entries', 1)
redis.call('HINCRBY', counts, 'size', number(it.size))
redis.call('ZADD', listing, 0, key)
redis.call('SADD', apps, app)
if a.remember > 0 then redis.call('SET', note, 'done', 'PX', number(a.remember)) end
return 1
