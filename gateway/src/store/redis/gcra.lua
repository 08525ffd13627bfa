-- One request out of one bucket, by the generic cell rate algorithm. All times in microseconds.
--
-- KEYS[1]  the bucket: "<theoretical arrival time> <time of writing>"
-- ARGV[1]  cell: the time that one request costs
-- ARGV[2]  full: the time that a whole burst costs
-- ARGV[3]  owed: use that the caller granted while this server was away, as time until full
--
-- Returns {1, requests left, time until full} or {0, time to wait, time until full}. A bucket that is
-- full again vanishes: a missing one says the same.
local cell = tonumber(ARGV[1])
local full = tonumber(ARGV[2])
local used = now + tonumber(ARGV[3])
local changed = used > now

local stored = redis.call('GET', KEYS[1])
if stored then
  local tat, written = string.match(stored, '^(%d+) (%d+)$')
  if not tat then
    return redis.error_reply('UNREADABLE the quota bucket does not hold two numbers')
  end
  -- A clock that was set back must not make anybody wait for as long as it was wrong.
  local back = math.max(0, tonumber(written) - now)
  local known = tonumber(tat) - back
  changed = back > 0 or used > known
  used = math.max(used, known)
end

local function keep(tat)
  local life = math.max(1, math.ceil((tat - now) / 1000))
  redis.call('SET', KEYS[1], string.format('%.0f %.0f', tat, now), 'PX', life)
end

-- Never more than empty, however the rule has shrunk; what was used beyond it stays used.
local tat = math.max(now, math.min(used, now + full))
local next = tat + cell
if next - now > full then
  if changed then
    keep(used)
  end
  return {0, next - now - full, tat - now}
end
keep(next)
return {1, math.floor((full - (next - now)) / cell), next - now}
