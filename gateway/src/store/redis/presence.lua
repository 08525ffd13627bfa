-- A gateway's sign of life, and how many others there are. All times in microseconds.
--
-- KEYS[1]  "<made> <gateway>=<time>:<all> …": when the list was begun, when each gateway last gave one,
--          and how many it then knew of: alone it grants one of so many parts
-- ARGV[1]  the gateway
-- ARGV[2]  do nothing after this time: the gateway has given the question up (0: whenever)
-- ARGV[3]  a gateway that gave no sign for so long is silent
-- ARGV[4]  one that gave none for so long is gone
-- ARGV[5]  'stay' or 'leave'
-- ARGV[6]  how many gateways this one knows of; 0 when it comes
--
-- Returns {1, now, made, gateways that are not silent, all gateways, 1 if this one was known, millionths
-- of each limit that the silent ones may grant, the fewest parts that one of them divides by}, or
-- {0, now} when it came too late.
local late = tonumber(ARGV[2])
if late > 0 and now > late then
  return {0, now}
end
local made, seen = now, {}
local stored = redis.call('GET', KEYS[1])
if stored then
  made = tonumber(string.match(stored, '^(%d+)')) or now
  for name, time, parts in string.gmatch(stored, '(%x+)=(%d+):(%d+)') do
    seen[name] = { time = tonumber(time), parts = tonumber(parts) }
  end
end
local known = seen[ARGV[1]] and 1 or 0
seen[ARGV[1]] = ARGV[5] == 'stay' and { time = now, parts = tonumber(ARGV[6]) } or nil

local present, all, millionths, least = 0, 0, 0, 0
for name, sign in pairs(seen) do
  -- One from the future was written before the clock was set back.
  sign.time = math.min(sign.time, now)
  local since = now - sign.time
  if since > tonumber(ARGV[4]) then
    seen[name] = nil
  else
    all = all + 1
    if since <= tonumber(ARGV[3]) then
      present = present + 1
    else
      millionths = millionths + math.ceil(1000000 / math.max(1, sign.parts))
      least = least == 0 and sign.parts or math.min(least, sign.parts)
    end
  end
end

local page = { string.format('%.0f', made) }
for name, sign in pairs(seen) do
  local parts = sign.parts > 0 and sign.parts or math.max(2, all)
  page[#page + 1] = string.format('%s=%.0f:%d', name, sign.time, parts)
end
redis.call('SET', KEYS[1], table.concat(page, ' '), 'PX', math.ceil(tonumber(ARGV[4]) / 1000) * 2)
return {1, now, made, present, all, known, millionths, least}
