-- Replaces the number of shards by another, unless it is another one by now. A key that is not there counts as '1'. '' removes the key.
-- Returns the number that is there afterwards.
local shards, from, to = KEYS[1], ARGV[1], ARGV[2]
local set = redis.call('GET', shards) or '1'
if set ~= from then return set end
if to == '' then
  redis.call('DEL', shards)
  return '1'
end
redis.call('SET', shards, to)
return to
