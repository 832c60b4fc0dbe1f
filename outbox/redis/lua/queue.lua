-- What the scripts of an app's queue share; it precedes each of them.
--
-- A device is a table of {tries, items, host}, as JSON in `devices`. Its items have no push; the oldest comes first:
--   seq      the entry's number, under which its push is in `pushes`
--   id       the entry's name
--   size     of the push, in bytes
--   host     where it goes; nil if all pushes of the app go to the same service
--   replace  what it is about, if only the newest such entry is kept
--   group    whom the host belongs to; nil for none
--   standing 0 a stranger's, 1 a guest's, 2 of a proven device; nil in entries of earlier versions, which count as 1
--   took     the devices and ids of the entries that it displaced, until it is accepted again
--   badge    true for a badge update, in entries of earlier versions, which have no host and no replace
--   ts       its pushkey_ts
--   runs     when the lease ends of an attempt that was under way when the entry was accepted; nil if there is no such attempt
--   owner    the gateway of that attempt
-- A device's score in `due` is when it is due. If an entry of it is leased until then, `leases` has the holder: the gateway, a slash, and
-- the entry's id. The device's host is that of its first item. Under it the device is in `hosts`, as the host, a space and the device.
--
-- Each entry is in `idle` or, if an attempt is under way, in `busy`, as its standing, group, number, device and size. Proven ones are
-- always in `idle`. `shares` has how many entries (e) and bytes (b) there are of each standing, as in e0, and of each group of it, as in
-- `e0 group`. `most` has the groups that have entries in `idle`, except proven ones, by these two. Gateways of earlier versions don't know
-- these four keys. The scripts correct what those gateways left in or out where they find it, and so does repair.lua.
--
-- Times are in milliseconds, and only by this server's clock.
local due, leases, devices = KEYS[1], KEYS[2], KEYS[3]
local pushes, expiry, counts, listing, hosts = KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local idles, busies, shares, most = KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local guest, proven = 1, 2

local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function number(n) return string.format('%.0f', n) end

-- readable reports whether a device is as these scripts write it.
local function readable(d)
  if type(d) ~= 'table' or type(d.tries) ~= 'number' or type(d.items) ~= 'table' or #d.items == 0 then return false end
  for _, it in ipairs(d.items) do
    if type(it) ~= 'table' or type(it.seq) ~= 'number' or type(it.id) ~= 'string' or type(it.size) ~= 'number'
        or type(it.ts) ~= 'number' or type(it.host or '') ~= 'string' or type(it.replace or '') ~= 'string'
        or type(it.group or '') ~= 'string' or (it.standing and it.standing ~= 0 and it.standing ~= guest and it.standing ~= proven) or type(it.took or {}) ~= 'table'
        or (it.runs and (type(it.runs) ~= 'number' or type(it.owner) ~= 'string')) then
      return false
    end
  end
  return true
end

-- load returns a device, or nil if there is none that can be read.
local function load(key)
  local packed = redis.call('HGET', devices, key)
  if not packed then return nil end
  local ok, d = pcall(cjson.decode, packed)
  if not ok or not readable(d) then return nil end
  d.key = key
  d.due = tonumber(redis.call('ZSCORE', due, key) or 0)
  d.holder = redis.call('HGET', leases, key) or ''
  return d
end

-- place writes when a device is due and who holds it.
local function place(d)
  redis.call('ZADD', due, number(d.due), d.key)
  if d.holder == '' then
    redis.call('HDEL', leases, d.key)
  else
    redis.call('HSET', leases, d.key, d.holder)
  end
end

-- house files a device under the host of its first entry, instead of another; nil for none.
local function house(d, host)
  if d.host == host then return end
  if d.host then redis.call('ZREM', hosts, d.host .. ' ' .. d.key) end
  if host then redis.call('ZADD', hosts, 0, host .. ' ' .. d.key) end
  d.host = host
end

-- save writes a device, or removes one that has no entries.
local function save(d)
  house(d, d.items[1] and d.items[1].host)
  if #d.items == 0 then
    redis.call('HDEL', devices, d.key)
    redis.call('HDEL', leases, d.key)
    redis.call('ZREM', due, d.key)
    redis.call('ZREM', listing, d.key)
    return
  end
  redis.call('HSET', devices, d.key, cjson.encode({tries = d.tries, items = d.items, host = d.host}))
  place(d)
end

local function find(d, id)
  for i, it in ipairs(d.items) do
    if it.id == id then return i end
  end
  return nil
end

-- reschedule ends a device's lease, unless an attempt is under way at the entry that is now its first.
local function reschedule(d, at, tries)
  d.holder, d.due, d.tries = '', at, tries
  local first = d.items[1]
  if first.runs then d.holder, d.due = first.owner .. '/' .. first.id, first.runs end
end

-- about returns what an entry is about, if only the newest such one is kept, or else nil.
local function about(it) return it.replace or (it.badge and 'badge') or nil end

-- leased reports whether the device is leased for an entry, or was until its lease lapsed.
local function leased(d, it) return string.match(d.holder, '/(.*)') == it.id end

-- idle reports whether no attempt at an entry can be under way.
local function idle(d, it, t)
  if leased(d, it) and t < d.due then return false end
  return not it.runs or t >= it.runs
end

-- newest returns the newest of a group's entries of a standing that may be displaced, by its name in `idle`.
local function newest(standing, group)
  local name = standing .. ' ' .. group
  return redis.call('ZREVRANGEBYLEX', idles, '(' .. name .. '!', '[' .. name .. ' ', 'LIMIT', 0, 1)[1]
end

-- has returns how many entries and bytes a group has of a standing, or all groups if it is nil.
local function has(standing, group)
  local name = group and standing .. ' ' .. group or standing
  local amount = redis.call('HMGET', shares, 'e' .. name, 'b' .. name)
  return tonumber(amount[1] or 0), tonumber(amount[2] or 0)
end

-- floor returns where in `most` the groups of a standing begin, by entries or bytes ('e' or 'b'): `room` apart.
local room = 2 ^ 50
local function floor(standing, measure) return (standing * 2 + (measure == 'b' and 1 or 0)) * room end

-- rank puts a group in its place in `most`.
local function rank(standing, group)
  if standing == proven then return end
  local name = standing .. ' ' .. group
  if not newest(standing, group) then
    redis.call('ZREM', most, 'e' .. name, 'b' .. name)
    return
  end
  local entries, bytes = has(standing, group)
  redis.call('ZADD', most, number(floor(standing, 'e') + entries), 'e' .. name, number(floor(standing, 'b') + bytes), 'b' .. name)
end

-- count counts entries of a group, or uncounts them.
local function count(standing, group, size, n)
  local name = standing .. ' ' .. group
  for _, field in ipairs({'e' .. standing, 'e' .. name}) do
    if redis.call('HINCRBY', shares, field, n) <= 0 then redis.call('HDEL', shares, field) end
  end
  for _, field in ipairs({'b' .. standing, 'b' .. name}) do
    if redis.call('HINCRBY', shares, field, number(n * size)) <= 0 then redis.call('HDEL', shares, field) end
  end
  rank(standing, group)
end

-- label returns the name of an entry in `idle` and `busy`.
local function label(d, it)
  return string.format('%d %s %016.0f %s %.0f', it.standing or guest, it.group or '', it.seq, d.key, it.size)
end

-- stand puts an entry in `idle` or `busy`, and counts it if it was in neither.
local function stand(d, it, t)
  local standing, group, name = it.standing or guest, it.group or '', label(d, it)
  local to, from = idles, busies
  if standing ~= proven and not idle(d, it, t) then to, from = busies, idles end
  if redis.call('ZADD', to, 0, name) == 0 then return end
  if redis.call('ZREM', from, name) == 0 then
    count(standing, group, it.size, 1)
  else
    rank(standing, group)
  end
end

-- unstand takes an entry out of both, and uncounts it if it was in one.
local function unstand(d, it)
  local standing, group, name = it.standing or guest, it.group or '', label(d, it)
  if redis.call('ZREM', idles, name) + redis.call('ZREM', busies, name) > 0 then count(standing, group, it.size, -1) end
end

-- parse reads a name in `idle` or `busy`.
local function parse(name)
  local standing, group, seq, key, size = string.match(name, '^(%d) (.*) (%d+) (%x+) (%d+)$')
  return tonumber(standing), group, tonumber(seq), key, tonumber(size)
end

-- numbered returns the place of an entry in its device by its number.
local function numbered(d, seq)
  for i, it in ipairs(d.items) do
    if it.seq == seq then return i end
  end
  return nil
end

local function remove(d, i)
  local it = table.remove(d.items, i)
  unstand(d, it)
  redis.call('HDEL', pushes, number(it.seq))
  redis.call('ZREM', expiry, number(it.seq) .. ':' .. d.key)
  redis.call('HINCRBY', counts, 'entries', -1)
  redis.call('HINCRBY', counts, 'size', number(-it.size))
  if d.holder == '' and #d.items > 0 then reschedule(d, d.due, d.tries) end
end

-- head returns an entry without its push: see codec.go.
local function head(seq)
  local value = redis.call('HGET', pushes, seq)
  return value and string.match(value, '^[^\n]*') or ''
end

-- release ends a gateway's attempt at an entry, and its lease. It returns the entry's place.
local function release(d, id, owner, at, tried)
  local i = find(d, id)
  if i then d.items[i].runs, d.items[i].owner = nil, nil end
  if d.holder == owner .. '/' .. id then reschedule(d, at, d.tries + tried) end
  if i then stand(d, d.items[i], now()) end
  return i
end

-- unstoppable lets a script continue although memory is full. Redis refuses commands that may need memory, except once a script has
-- written. A script that empties the queue must not be refused.
local function unstoppable() redis.call('ZREM', due, '') end

