-- Counts a request, as `Counts` in memory.rs does. Both have the same tests.
-- KEYS: the counts. ARGV: the limit, the time and the window in milliseconds.
-- Gives how many were free before it, the time until the next one is, or until the minute is over, and the time at which it counts.
local limit, now, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local kept = redis.call('HMGET', KEYS[1], 'seen', 'current', 'previous')
local seen, current, previous = tonumber(kept[1]) or now, tonumber(kept[2]) or 0, tonumber(kept[3]) or 0

if now + window < seen then
  seen, current, previous = now, 0, 0
end
now = math.max(now, seen)
local minutes = math.floor(now / window) - math.floor(seen / window)
if minutes == 1 then
  previous, current = current, 0
elseif minutes > 1 then
  previous, current = 0, 0
end

local function free_at(counted, room)
  return math.max(0, window - math.floor((room * window - 1) / math.max(counted, 1)))
end

local elapsed = now % window
local free = math.max(0, limit - current - math.floor(previous * (window - elapsed) / window))
local reset
if free > 0 then
  current = current + 1
  reset = window - elapsed
elseif current < limit then
  reset = math.max(0, free_at(previous, limit - current) - elapsed)
else
  reset = window - elapsed + free_at(current, limit)
end

redis.call('HSET', KEYS[1], 'seen', now, 'current', current, 'previous', previous)
redis.call('PEXPIRE', KEYS[1], 2 * window)
return {free, reset, now}
