-- KEYS: meta, so that a cluster runs this where the values are. ARGV: cursor, pattern, how many to look at.
local found = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
local out = {found[1]}
for _, name in ipairs(found[2]) do
  local value = redis.call('GET', name)
  if value then
    out[#out + 1] = name
    out[#out + 1] = value
  end
end
return out
