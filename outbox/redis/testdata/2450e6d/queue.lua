-- What the scripts of an app's queue share; it stands before each of them.
--
-- A device is a table of {tries, items, host}, as JSON in `devices`. Its items have no push; the oldest comes first:
--   seq      the entry's number, under which its push is in `pushes`
--   id       the entry's name
--   size     of the push, in bytes
--   host     where it goes; nil if all pushes of the app go to the same service
--   replace  what it is about, if only the newest such entry is kept
--   badge    true for a badge update, in entries of earlier versions, which have no host and no replace
--   ts       its pushkey_ts
--   runs     until when an attempt is under way that was when the entry was accepted; nil if none is
--   owner    the gateway of that attempt
-- When the device is due is its score in `due`. If an entry of it is leased until then, `leases` has the holder: the gateway, a slash,
-- and the entry's id. The device's host is that of its first item, under which it stands in `hosts`, as the host, a space and the device.
-- Times are in milliseconds, and of this server's clock alone.
local due, leases, devices = KEYS[1], KEYS[2], KEYS[3]
local pushes, expiry, counts, listing, hosts = KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]

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

-- place writes down when a device is due and who has it.
local function place(d)
  redis.call('ZADD', due, number(d.due), d.key)
  if d.holder == '' then
    redis.call('HDEL', leases, d.key)
  else
    redis.call('HSET', leases, d.key, d.holder)
  end
end

-- house puts a device under the host of its first entry, in place of another; nil for none.
local function house(d, host)
  if d.host == host then return end
  if d.host then redis.call('ZREM', hosts, d.host .. ' ' .. d.key) end
  if host then redis.call('ZADD', hosts, 0, host .. ' ' .. d.key) end
  d.host = host
end

-- save writes a device down, and forgets one that has no entries.
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

-- reschedule ends a device's lease, unless an attempt at what is its first entry now is under way.
local function reschedule(d, at, tries)
  d.holder, d.due, d.tries = '', at, tries
  local first = d.items[1]
  if first.runs then d.holder, d.due = first.owner .. '/' .. first.id, first.runs end
end

-- about returns what an entry is about, if only the newest such one is kept, or else nil.
local function about(it) return it.replace or (it.badge and 'badge') or nil end

-- leased says whether the device has, or had until its lease lapsed, been leased for an entry.
local function leased(d, it) return string.match(d.holder, '/(.*)') == it.id end

-- idle says whether no attempt at an entry can be under way.
local function idle(d, it, t)
  if leased(d, it) and t < d.due then return false end
  return not it.runs or t >= it.runs
end

local function remove(d, i)
  local it = table.remove(d.items, i)
  redis.call('HDEL', pushes, number(it.seq))
  redis.call('ZREM', expiry, number(it.seq) .. ':' .. d.key)
  redis.call('HINCRBY', counts, 'entries', -1)
  redis.call('HINCRBY', counts, 'size', number(-it.size))
  if d.holder == '' and #d.items > 0 then reschedule(d, d.due, d.tries) end
end

-- head is what is known of an entry but for its push: see codec.go.
local function head(seq)
  local value = redis.call('HGET', pushes, seq)
  return value and string.match(value, '^[^\n]*') or ''
end

-- release ends the attempt of a gateway at an entry, and the lease that it has. It returns the entry's place.
local function release(d, id, owner, at, tried)
  local i = find(d, id)
  if i then d.items[i].runs, d.items[i].owner = nil, nil end
  if d.holder == owner .. '/' .. id then reschedule(d, at, d.tries + tried) end
  return i
end

-- unstoppable lets a script go on although memory is full: Redis refuses commands that may need some, but not once a script has written.
-- What empties the queue must not be refused.
local function unstoppable() redis.call('ZREM', due, '') end

