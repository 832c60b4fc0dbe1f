-- Lists at most so many entries, by device: those after an entry, which is named by its device and its number. Returns the name of the last
-- one if there may be more, or else '' and '0'. Then follow for each entry: its device, its id, its size, what it is about, its host, the
-- milliseconds until its device is due, the device's tries, whether an attempt is under way, and its head.
local from, after, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local t = now()
local shown, result = 0, {'', '0'}
local keys = redis.call('ZRANGEBYLEX', listing, '[' .. from, '+', 'LIMIT', 0, most + 1)
for _, key in ipairs(keys) do
  if key ~= from then after = 0 end
  local d = load(key)
  for _, it in ipairs(d and d.items or {}) do
    if it.seq > after then
      if shown == most then return result end
      local runs, at = not idle(d, it, t), d.due
      if runs and not leased(d, it) then at = it.runs end
      for _, v in ipairs({
        key, it.id, it.size, about(it) or '', it.host or '', at - t, d.tries, runs and 1 or 0, head(number(it.seq)),
      }) do table.insert(result, v) end
      shown, result[1], result[2] = shown + 1, key, number(it.seq)
    end
  end
end
if #keys > most then
  result[1], result[2] = keys[#keys], '9007199254740991' -- after all that it has
else
  result[1], result[2] = '', '0'
end
return result
