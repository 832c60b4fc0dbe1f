-- Removes entries that expired longer ago than the grace, but for those that may be under way. It looks at no more than `most` of them,
-- behind those that were skipped; it returns how many it looked at, how many of these it skipped, and how many it removed. An app
-- without entries is forgotten.
local apps = KEYS[9]
local app, grace, skip, most = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
unstoppable()
local t = now()
local old = redis.call('ZRANGEBYSCORE', expiry, '-inf', number(t - grace), 'LIMIT', skip, most)
local skipped, removed = 0, 0
for _, member in ipairs(old) do
  local seq, key = string.match(member, '(%d+):(.*)')
  local d = load(key)
  local at
  for i, it in ipairs(d and d.items or {}) do
    if number(it.seq) == seq then at = i end
  end
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
  redis.call('DEL', due, leases, pushes, expiry, counts, listing, hosts)
end
return {#old, skipped, removed}
