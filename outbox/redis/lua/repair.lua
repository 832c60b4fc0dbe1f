-- Corrects `idle` and `busy` where gateways of earlier versions left entries in or out. It looks at so many entries after a place in one of
-- the two, or at as many devices in `listing`. Returns the place to continue from, or '' if there are no more.
local where, from, batch = ARGV[1], ARGV[2], tonumber(ARGV[3])
unstoppable()
local set = ({idle = idles, busy = busies, listing = listing})[where]
local names = redis.call('ZRANGEBYLEX', set, from == '' and '-' or '(' .. from, '+', 'LIMIT', 0, batch)
local t = now()
for _, name in ipairs(names) do
  if set == listing then
    local d = load(name)
    for _, it in ipairs(d and d.items or {}) do stand(d, it, t) end
  else
    local standing, group, seq, _, size = parse(name)
    if not standing then
      redis.call('ZREM', set, name)
    elseif redis.call('HEXISTS', pushes, number(seq)) == 0 then
      redis.call('ZREM', set, name)
      count(standing, group, size, -1)
    end
  end
end
return #names == batch and names[batch] or ''
