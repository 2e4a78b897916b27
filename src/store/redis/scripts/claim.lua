-- KEYS: meta, log, then those claimed. ARGV: value, its time in ms or '', entry, length of the log.
for at = 3, #KEYS do
  local value = redis.call('GET', KEYS[at])
  if value then return {at - 3, value} end
end
local last = redis.call('HINCRBY', KEYS[1], 'last', 1)
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], string.format('%.0f-0', last), 'e', ARGV[3])
for at = 3, #KEYS do
  if ARGV[2] == '' then
    redis.call('SET', KEYS[at], ARGV[1])
  else
    redis.call('SET', KEYS[at], ARGV[1], 'PX', ARGV[2])
  end
end
return last
