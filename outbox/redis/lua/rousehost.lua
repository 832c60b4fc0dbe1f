-- Makes devices due whose first entry goes to a host and that are not leased, until so many are due. It looks at `batch` devices at most,
-- those between two places ('' for the first and the last). Returns how many are due, and the place to continue from, or '' if there are no
-- more. The places of devices without a host are those in `listing`.
local host, from, upto, most, batch = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
unstoppable()
local t = now()
local index, first, last = hosts, '[' .. host .. ' ', '(' .. host .. '!'
if host == '' then index, first, last = listing, '-', '+' end
if from ~= '' then first = '(' .. from end
if upto ~= '' then last = '[' .. upto end
local places = redis.call('ZRANGEBYLEX', index, first, last, 'LIMIT', 0, batch)
local roused = 0
for n, place in ipairs(places) do
  local key = host == '' and place or string.sub(place, #host + 2)
  local d = load(key)
  if not d or (d.items[1].host or '') ~= host then
    if host ~= '' then redis.call('ZREM', hosts, place) end -- left by an earlier version, which does not know hosts
  elseif d.due <= t then
    roused = roused + 1
  elseif d.holder == '' then
    redis.call('ZADD', due, number(t), key)
    roused = roused + 1
  end
  if roused == most then return {roused, place} end
end
return {roused, #places == batch and places[batch] or ''}
