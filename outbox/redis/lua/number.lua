-- Replaces the number of shards by another, unless it is neither the first one nor the other by now. '1' stands for a key that is not there.
-- Returns the number that is there afterwards.
local shards, from, to = KEYS[1], ARGV[1], ARGV[2]
local set = redis.call('GET', shards) or '1'
if set ~= from then return set end
if to == '1' then
  redis.call('DEL', shards)
else
  redis.call('SET', shards, to)
end
return to
