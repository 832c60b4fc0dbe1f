-- Adds an entry, with the note that its event needs no other delivery. Returns one of these, and then the devices and ids of the entries
-- that it displaced:
--   0  there is no room
--   1  the entry is in, or need not be
--   2  the entry was settled, discarded or displaced before it came
--   3  another gateway has the event
--   4  the device has no room
--   5  there is another number of shards
--   6  the shard is new: nobody has written how many there are
local apps, note, gone, discarded, shards = KEYS[13], KEYS[14], KEYS[15], KEYS[16], KEYS[17]
local app, key, owner, push = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local a = cjson.decode(ARGV[5]) -- see acceptance in queue.go
local t = now()

if redis.call('EXISTS', gone) == 1 then return {2} end
local before = redis.call('GET', discarded)
if before then
  local ts, at = string.match(before, '^(%S+) (%S+)$')
  -- These two times are by the gateways' clocks: when the push came, and when the device's pushes were discarded.
  if a.ts <= tonumber(ts) and a.accepted > 0 and a.accepted < tonumber(at) then return {2} end
end

local d = load(key)
if d and find(d, a.id) then
  -- The entry was accepted before, and the answer was lost.
  local it = d.items[find(d, a.id)]
  local took = it.took or {}
  it.took = nil
  if not a.running then
    local unleased = d.holder == ''
    if release(d, a.id, owner, t + a.delay, 1) == 1 and unleased then d.due = t + a.delay end
  end
  if not a.running or #took > 0 then save(d) end
  return {1, unpack(took)}
end
local holder = a.remember > 0 and redis.call('GET', note)
if holder == 'done' then
  -- The event was accepted before with an answer that was lost, or it was delivered. The homeserver sent it again while Redis did not
  -- answer.
  return {1}
elseif holder and holder ~= owner then
  -- The homeserver sent the event again, to a gateway that is delivering it now. This gateway could not ask, or is dead and its call comes
  -- late.
  return {3}
end
local set = redis.call('GET', shards)
if set and set ~= a.shards then return {5} end
if not set and a.shards ~= '1' then return {6} end

local replaced = {}
if d and a.replace ~= '' then
  for i, it in ipairs(d.items) do
    if about(it) == a.replace and idle(d, it, t) then table.insert(replaced, 1, i) end -- the last one first
  end
end
if d and #d.items - #replaced >= a.per_device then return {4} end

-- This comes before any change, so Redis refuses the script here when memory is full.
local seq = redis.call('HINCRBY', counts, 'seq', 1)
local entries = tonumber(redis.call('HGET', counts, 'entries') or 0)
local size = tonumber(redis.call('HGET', counts, 'size') or 0)
if entries == 0 then redis.call('DEL', idles, busies, shares, most) end -- what earlier versions may have left

-- Replaced entries don't count, and are not displaced.
for _, i in ipairs(replaced) do
  unstand(d, d.items[i])
  entries, size = entries - 1, size - d.items[i].size
end

local loaded, out, looks = {[key] = d}, {}, 0

-- candidate returns the newest entry of a group that can be displaced: its device and itself. It corrects wrong entries of `idle`.
local function candidate(standing, group)
  while looks < a.looks do
    looks = looks + 1
    local name = newest(standing, group)
    if not name then
      rank(standing, group)
      return nil
    end
    local _, _, number, of, bytes = parse(name)
    loaded[of] = loaded[of] or load(of)
    local holder = loaded[of]
    local i = holder and numbered(holder, number)
    if i and idle(holder, holder.items[i], t) then return holder, holder.items[i] end
    if i then
      stand(holder, holder.items[i], t)
    else
      redis.call('ZREM', idles, name)
      if holder or redis.call('HEXISTS', devices, of) == 0 then
        count(standing, group, bytes, -1)
      else -- it cannot be read
        redis.call('ZADD', busies, 0, name)
        rank(standing, group)
      end
    end
  end
end

-- relative returns an entry of the newcomer's group, and of a lower standing.
local function relative()
  for standing = 0, a.standing - 1 do
    local holder, it = candidate(standing, a.group)
    if it then return holder, it end
  end
end

-- top returns at most two groups that have most of a standing, and how much each has.
local function top(standing, measure)
  local base = floor(standing, measure)
  local found = redis.call('ZREVRANGEBYSCORE', most, number(base + room - 1), number(base), 'WITHSCORES', 'LIMIT', 0, 2)
  local groups = {}
  for i = 1, #found, 2 do table.insert(groups, {string.sub(found[i], 4), tonumber(found[i + 1]) - base}) end
  return groups
end

-- lower returns an entry of a lower standing, of the group that has most.
local function lower(measure)
  for standing = 0, math.min(a.standing - 1, guest) do
    while looks < a.looks do
      local groups = top(standing, measure)
      if #groups == 0 then break end
      local holder, it = candidate(standing, groups[1][1])
      if it then return holder, it end
    end
  end
end

-- rival returns an entry of the newcomer's standing, of a group that has more than the newcomer's group would have.
local function rival(measure)
  if a.standing == proven or a.group == '' then return nil end
  while looks < a.looks do
    local theirs
    for _, of in ipairs(top(a.standing, measure)) do
      if of[1] ~= '' and not theirs then theirs = of end
    end
    local n, bytes = has(a.standing, a.group)
    local own = measure == 'e' and n + 1 or bytes + a.size
    if not theirs or theirs[1] == a.group or theirs[2] <= own then return nil end
    local holder, it = candidate(a.standing, theirs[1])
    if it then return holder, it end
  end
end

-- free displaces entries until the newcomer fits.
local function free(used, most_entries, most_bytes, find_one)
  while true do
    local n, bytes = used()
    local measure = 'e'
    if bytes + a.size > most_bytes then
      measure = 'b'
    elseif n < most_entries then
      return true
    end
    local holder, it = find_one(measure)
    if not it or #out == a.most_displaced then return false end
    unstand(holder, it)
    table.insert(out, {holder, it})
    entries, size = entries - 1, size - it.size
  end
end

-- share keeps the newcomer within the shares of its group and its standing.
local function share()
  if a.group == '' then return true end
  if a.standing == proven then
    local own, bytes = has(proven, a.group)
    local all, theirs = has(proven)
    if own >= 3 * (a.entries - all) or bytes >= 3 * (a.max_size - theirs) then return false end
  end
  local function group()
    local n, bytes = 0, 0
    for standing = 0, proven do
      local more, larger = has(standing, a.group)
      n, bytes = n + more, bytes + larger
    end
    return n, bytes
  end
  if not free(group, a.group_entries, a.group_size, relative) then return false end
  return a.standing > 0 or free(function() return has(0) end, a.stranger_entries, a.stranger_size, rival)
end

local function all() return entries, size end
local function others(measure)
  local holder, it = lower(measure)
  if it then return holder, it end
  return rival(measure)
end

if not share() or not free(all, a.entries, a.max_size, others) then
  for _, o in ipairs(out) do stand(o[1], o[2], t) end
  for _, i in ipairs(replaced) do stand(d, d.items[i], t) end
  return {0}
end

local it = {seq = seq, id = a.id, size = a.size, ts = a.ts, standing = a.standing}
if a.host ~= '' then it.host = a.host end
if a.group ~= '' then it.group = a.group end
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
table.insert(d.items, it) -- first: the device keeps its due time and its holder
for _, i in ipairs(replaced) do remove(d, i) end
local names = {}
for _, o in ipairs(out) do
  local holder, other = o[1], o[2]
  if leased(holder, other) then holder.holder = '' end -- the lease has lapsed
  remove(holder, numbered(holder, other.seq))
  -- The newcomer's key, with the other device and id in it.
  local name = string.sub(gone, 1, #gone - #(key .. ':' .. a.id .. ':' .. app)) .. holder.key .. ':' .. other.id .. ':' .. app
  redis.call('SET', name, '', 'PX', number(a.lease))
  table.insert(names, holder.key)
  table.insert(names, other.id)
  if holder ~= d then save(holder) end
end
if #names > 0 then it.took = names end
save(d)
stand(d, it, t)
redis.call('HSET', pushes, number(it.seq), push)
redis.call('ZADD', expiry, number(t + a.expires), number(it.seq) .. ':' .. key)
redis.call('HINCRBY', counts, 'entries', 1)
redis.call('HINCRBY', counts, 'size', number(it.size))
redis.call('ZADD', listing, 0, key)
redis.call('SADD', apps, app)
if a.remember > 0 then redis.call('SET', note, 'done', 'PX', number(a.remember)) end
return {1, unpack(names)}
