-- KEYS: members. ARGV: who, what it says, for how many ms; 0: it leaves.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local said, long = string.match(all[at + 1], '^(%d+) (%d+) ')
  if not said or now > said + long then redis.call('HDEL', KEYS[1], all[at]) end
end
if ARGV[3] == '0' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %s ', now, ARGV[3]) .. ARGV[2])
end
return now
