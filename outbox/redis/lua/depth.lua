-- Returns how many entries and devices the app has, the head of the entry that expires first, and the size of all entries. Then it returns
-- how many entries and bytes of these are strangers', where devices choose the host.
local strangers, theirs = has(0)
local ungrouped, larger = has(0, '')
local first = redis.call('ZRANGE', expiry, 0, 0)[1]
return {
  tonumber(redis.call('HGET', counts, 'entries') or 0), redis.call('ZCARD', due), first and head(string.match(first, '%d+')) or '',
  tonumber(redis.call('HGET', counts, 'size') or 0), strangers - ungrouped, theirs - larger,
}
