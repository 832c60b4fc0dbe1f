-- Makes devices due whose first entry goes to a host and that are not leased, until so many are due. Of those that stand behind a place,
-- it looks at no more than `batch`. It returns how many are due, and the place to go on from, or '' if there are no more. The places of
-- devices without a host are those in `listing`.
local host, from, most, batch = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
unstoppable()
local t = now()
local places, first, last
if host == '' then
  places = redis.call('ZRANGEBYLEX', listing, from == '' and '-' or '(' .. from, '+', 'LIMIT', 0, batch)
else
  places = redis.call('ZRANGEBYLEX', hosts, from == '' and '[' .. host .. ' ' or '(' .. from, '(' .. host .. '!', 'LIMIT', 0, batch)
end
local roused = 0
for n, place in ipairs(places) do
  local key = host == '' and place or string.sub(place, #host + 2)
  local d = load(key)
  if not d or (d.items[1].host or '') ~= host then
    if host ~= '' then redis.call('ZREM', hosts, place) end -- left by an earlier version, which knows no hosts
  elseif d.due <= t then
    roused = roused + 1
  elseif d.holder == '' then
    redis.call('ZADD', due, number(t), key)
    roused = roused + 1
  end
  if roused == most then return {roused, place} end
end
return {roused, #places == batch and places[batch] or ''}
