-- Returns how many entries and devices the app has, and the head of the entry that expires first.
local first = redis.call('ZRANGE', expiry, 0, 0)[1]
return {
  tonumber(redis.call('HGET', counts, 'entries') or 0), redis.call('ZCARD', due), first and head(string.match(first, '%d+')) or '',
}
