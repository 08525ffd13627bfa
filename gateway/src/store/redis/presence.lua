-- A gateway's sign of life, and how many others there are. All times in microseconds.
--
-- KEYS[1]  a hash: for each gateway when it last gave one, and `made`, when the hash was begun
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
local known = redis.call('HEXISTS', KEYS[1], ARGV[1])
if ARGV[5] == 'leave' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now))
end
redis.call('HSETNX', KEYS[1], 'made', string.format('%.0f', now))

local made, present, all = now, 0, 0
local entries = redis.call('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
  local time = tonumber(entries[i + 1]) or 0
  if entries[i] == 'made' then
    made = time
  else
    local since = now - time
    -- One from the future was written before the clock was set back.
    if since < 0 then
      redis.call('HSET', KEYS[1], entries[i], string.format('%.0f', now))
      since = 0
    end
    if since > tonumber(ARGV[4]) then
      redis.call('HDEL', KEYS[1], entries[i])
    else
      all = all + 1
      if since <= tonumber(ARGV[3]) then
        present = present + 1
      end
    end
  end
end
redis.call('PEXPIRE', KEYS[1], math.ceil(tonumber(ARGV[4]) / 1000) * 2)
return {1, now, made, present, all, known}
