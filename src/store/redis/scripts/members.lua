-- KEYS: members. The time in ms, then of each member its name and what beat.lua keeps of it.
local time = redis.call('TIME')
local out = redis.call('HGETALL', KEYS[1])
table.insert(out, 1, time[1] * 1000 + math.floor(time[2] / 1000))
return out
