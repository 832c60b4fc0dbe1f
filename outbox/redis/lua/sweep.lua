-- Removes entries that expired longer ago than the grace, except those that may have an attempt under way. It looks at `batch` of them at
-- most, after those that were skipped. Returns how many it looked at, how many of these it skipped, how many it removed, and whether `idle`
-- and `busy` are wrong (1 or 0). An app without entries is forgotten.
local apps = KEYS[13]
local app, grace, skip, batch = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
unstoppable()
local t = now()
local old = redis.call('ZRANGEBYSCORE', expiry, '-inf', number(t - grace), 'LIMIT', skip, batch)
local skipped, removed = 0, 0
for _, member in ipairs(old) do
  local seq, key = string.match(member, '(%d+):(.*)')
  local d = load(key)
  local at = d and numbered(d, tonumber(seq))
  if not at then
    redis.call('ZREM', expiry, member)
  elseif idle(d, d.items[at], t) then
    remove(d, at)
    save(d)
    removed = removed + 1
  else
    skipped = skipped + 1
  end
end
if redis.call('EXISTS', devices) == 0 then
  redis.call('SREM', apps, app)
  redis.call('DEL', due, leases, pushes, expiry, counts, listing, hosts, idles, busies, shares, most)
end
local entries = tonumber(redis.call('HGET', counts, 'entries') or 0)
local stood = redis.call('ZCARD', idles) + redis.call('ZCARD', busies)
return {#old, skipped, removed, stood == entries and 0 or 1}
