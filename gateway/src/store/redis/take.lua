-- Requests out of the buckets of several limits: out of each of them, or out of none. All times in
-- microseconds.
--
-- KEYS[i]  the bucket of a limit
-- ARGV     four for each key:
--            'rate', cell: the time that one request costs, full: the time that a whole burst costs, and
--            how many requests are wanted, of which fewer may be given, but not none;
--            or 'window', requests, period, 1
--
-- A rate keeps "<theoretical arrival time> <time of writing>", a window "<time> <time> …", oldest first.
-- A bucket that is full again vanishes: a missing one says the same.
--
-- Returns {1, now} and for each key requests given, requests left, time until full; or
-- {0, now, place of the limit that has longest to wait (0 is the first), time to wait}.
local found, longest, place = {}, 0, 0

-- A clock that was set back must not make anybody wait for as long as it was wrong.
local function set_back(written)
  return math.max(0, written - now)
end

local function rate(key, cell, full, wanted)
  local tat, back = now, 0
  local stored = redis.call('GET', key)
  if stored then
    local kept, written = string.match(stored, '^(%d+) (%d+)$')
    if not kept then
      return nil
    end
    back = set_back(tonumber(written))
    tat = tonumber(kept) - back
  end
  local before = tat
  -- Never more than empty, however the rule has shrunk.
  tat = math.max(now, math.min(tat, now + full))
  local given = math.min(wanted, math.floor((now + full - tat) / cell))
  if given < 1 then
    local mended = back > 0 and string.format('%.0f %.0f', before, now)
    return { wait = tat + cell - now - full, page = mended, life = before - now }
  end
  tat = tat + given * cell
  return {
    wait = 0, given = given, left = math.floor((now + full - tat) / cell), ahead = tat - now,
    page = string.format('%.0f %.0f', tat, now), life = tat - now
  }
end

local function window(key, requests, period)
  local times = {}
  local stored = redis.call('GET', key)
  if stored then
    if not string.match(stored, '^[%d ]+$') then
      return nil
    end
    for time in string.gmatch(stored, '%d+') do
      times[#times + 1] = tonumber(time)
    end
  end
  local back = set_back(times[#times] or 0)
  local kept = {}
  for _, time in ipairs(times) do
    if now - (time - back) < period then
      kept[#kept + 1] = time - back
    end
  end
  local function page()
    local texts = {}
    for _, time in ipairs(kept) do
      texts[#texts + 1] = string.format('%.0f', time)
    end
    return table.concat(texts, ' ')
  end
  if #kept >= requests then
    local wait = math.max(1, kept[#kept - requests + 1] + period - now)
    return { wait = wait, page = back > 0 and page(), life = period }
  end
  kept[#kept + 1] = now
  return {
    wait = 0, given = 1, left = requests - #kept, ahead = period, page = page(), life = period
  }
end

for i, key in ipairs(KEYS) do
  local kind, first, second = ARGV[4 * i - 3], tonumber(ARGV[4 * i - 2]), tonumber(ARGV[4 * i - 1])
  local taken
  if kind == 'rate' then
    taken = rate(key, first, second, tonumber(ARGV[4 * i]))
  elseif kind == 'window' then
    taken = window(key, first, second)
  end
  if not taken then
    return redis.error_reply('UNREADABLE a quota bucket does not hold what it should')
  end
  if taken.wait > longest then
    longest, place = taken.wait, i - 1
  end
  found[i] = taken
end
local function keep(key, taken)
  redis.call('SET', key, taken.page, 'PX', math.max(1, math.ceil(taken.life / 1000)))
end

if longest > 0 then
  -- What a clock that was set back would hold up is put right, and nothing is taken.
  for i, key in ipairs(KEYS) do
    if found[i].wait > 0 and found[i].page then
      keep(key, found[i])
    end
  end
  return {0, now, place, longest}
end

local answer = {1, now}
for i, key in ipairs(KEYS) do
  local taken = found[i]
  keep(key, taken)
  answer[#answer + 1] = taken.given
  answer[#answer + 1] = taken.left
  answer[#answer + 1] = taken.ahead
end
return answer
