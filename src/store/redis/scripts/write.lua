-- KEYS: meta, log, state, then those of the changes in their order. ARGV: length of the log, then the changes, each a
-- letter and its arguments: P or N (put, renew) how many keys, value, time in ms or ''; R (remove) how many keys, owner;
-- L (log) entry; S (state) name, value; D (state) name.
local key, at = 4, 2
local function owner(name)
  return redis.call('GETRANGE', name, 0, 7)
end
while at <= #ARGV do
  local what = ARGV[at]
  if what == 'P' or what == 'N' then
    local value, time = ARGV[at + 2], ARGV[at + 3]
    local own = string.sub(value, 1, 8)
    for _ = 1, tonumber(ARGV[at + 1]) do
      if what == 'P' or owner(KEYS[key]) == own then
        if time == '' then
          redis.call('SET', KEYS[key], value)
        else
          redis.call('SET', KEYS[key], value, 'PX', time)
        end
      end
      key = key + 1
    end
    at = at + 4
  elseif what == 'R' then
    for _ = 1, tonumber(ARGV[at + 1]) do
      if owner(KEYS[key]) == ARGV[at + 2] then redis.call('DEL', KEYS[key]) end
      key = key + 1
    end
    at = at + 3
  elseif what == 'L' then
    local last = redis.call('HINCRBY', KEYS[1], 'last', 1)
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[1], string.format('%.0f-0', last), 'e', ARGV[at + 1])
    at = at + 2
  elseif what == 'S' then
    redis.call('HSET', KEYS[3], ARGV[at + 1], ARGV[at + 2])
    at = at + 3
  else
    redis.call('HDEL', KEYS[3], ARGV[at + 1])
    at = at + 2
  end
end
return tonumber(redis.call('HGET', KEYS[1], 'last') or '0')
