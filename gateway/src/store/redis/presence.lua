-- A gateway's sign of life, and how many others there are. All times in microseconds.
--
-- KEYS[1]  "<made> <gateway>=<time> …": when the list was begun, and when each gateway last gave one
-- ARGV[1]  the gateway
-- ARGV[2]  do nothing after this time: the gateway has given the question up (0: whenever)
-- ARGV[3]  a gateway that gave no sign for so long is silent
-- ARGV[4]  one that gave none for so long is gone
-- ARGV[5]  'stay' or 'leave'
--
-- Returns {1, now, made, gateways that are not silent, all gateways, 1 if this one was known}, or
-- {0, now} when it came too late.
local late = tonumber(ARGV[2])
if late > 0 and now > late then
  return {0, now}
end
local made, seen = now, {}
local stored = redis.call('GET', KEYS[1])
if stored then
  made = tonumber(string.match(stored, '^(%d+)')) or now
  for name, time in string.gmatch(stored, '(%x+)=(%d+)') do
    seen[name] = tonumber(time)
  end
end
local known = seen[ARGV[1]] and 1 or 0
seen[ARGV[1]] = ARGV[5] == 'stay' and now or nil

local present, all, page = 0, 0, { string.format('%.0f', made) }
for name, time in pairs(seen) do
  -- One from the future was written before the clock was set back.
  local since = math.max(0, now - time)
  if since <= tonumber(ARGV[4]) then
    all = all + 1
    if since <= tonumber(ARGV[3]) then
      present = present + 1
    end
    page[#page + 1] = name .. '=' .. string.format('%.0f', now - since)
  end
end
redis.call('SET', KEYS[1], table.concat(page, ' '), 'PX', math.ceil(tonumber(ARGV[4]) / 1000) * 2)
return {1, now, made, present, all, known}
