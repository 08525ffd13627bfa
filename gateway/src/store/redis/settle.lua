-- Puts a rate's bucket right: charges what a gateway granted while it could not ask, or gives back what
-- it took in advance and did not use. All times in microseconds.
--
-- KEYS[1]  the bucket: "<theoretical arrival time> <time of writing>"
-- ARGV[1]  time to charge; negative: to give back
-- ARGV[2]  full: the time that a whole burst costs
-- ARGV[3]  when what is given back was taken, by this server's clock
-- ARGV[4]  how long after that it may be given back
--
-- Returns 1 when it was done.
local change = tonumber(ARGV[1])
local tat = now
local stored = redis.call('GET', KEYS[1])
if stored then
  local kept, written = string.match(stored, '^(%d+) (%d+)$')
  if not kept then
    return redis.error_reply('UNREADABLE a quota bucket does not hold what it should')
  end
  tat = math.max(now, tonumber(kept) - math.max(0, tonumber(written) - now))
end
if change < 0 then
  local since = now - tonumber(ARGV[3])
  -- Later, it would be counted as used by nobody in a time in which others counted on it.
  if since < 0 or since > tonumber(ARGV[4]) then
    return 0
  end
end
tat = math.min(tat + change, now + tonumber(ARGV[2]))
if tat <= now then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], string.format('%.0f %.0f', tat, now), 'PX', math.max(1, math.ceil((tat - now) / 1000)))
end
return 1
