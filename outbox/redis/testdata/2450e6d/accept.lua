-- Takes an entry in, with the note that its event needs no other delivery. 1: it is in, or needs not be; 0: there is no room; 2: it was
-- settled or discarded before it came; 3: another gateway has the event.
local apps, note, gone, discarded = KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local app, key, owner, push = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local a = cjson.decode(ARGV[5]) -- see acceptance in queue.go
local t = now()

if redis.call('EXISTS', gone) == 1 then return 2 end
local before = redis.call('GET', discarded)
if before then
  local ts, at = string.match(before, '^(%S+) (%S+)$')
  -- These two times are of the gateways' clocks: when the push came, and when the device's were discarded.
  if a.ts <= tonumber(ts) and a.accepted > 0 and a.accepted < tonumber(at) then return 2 end
end

local d = load(key)
if d and find(d, a.id) then
  -- It was accepted before, and the answer was lost.
  if not a.running then
    local unleased = d.holder == ''
    if release(d, a.id, owner, t + a.delay, 1) == 1 and unleased then d.due = t + a.delay end
    save(d)
  end
  return 1
end
local holder = a.remember > 0 and redis.call('GET', note)
if holder == 'done' then
  -- So was the event, with an answer that was lost, or it was delivered: the homeserver sent it again while nobody could be asked whose it is.
  return 1
elseif holder and holder ~= owner then
  -- The homeserver sent it again, to a gateway that is delivering it by now. This one could not ask, or is dead, and its words come late.
  return 3
end

local replaced, freed = {}, 0
if d and a.replace ~= '' then
  for i, it in ipairs(d.items) do
    if about(it) == a.replace and idle(d, it, t) then
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
if a.host ~= '' then it.host = a.host end
if a.replace ~= '' then it.replace = a.replace end
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
