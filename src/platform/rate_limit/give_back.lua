-- Takes a request back that was counted, as `Counts` in memory.rs does.
-- KEYS: the counts. ARGV: the time that count.lua has told, and the window in milliseconds.
local counted, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local kept = redis.call('HMGET', KEYS[1], 'seen', 'current', 'previous')
if not kept[1] then
  return 0
end
local minutes = math.floor(tonumber(kept[1]) / window) - math.floor(counted / window)
if minutes < 0 or minutes > 1 then
  return 0
end
local name = minutes == 0 and 'current' or 'previous'
redis.call('HSET', KEYS[1], name, math.max(0, tonumber(kept[minutes + 2]) - 1))
return 1
