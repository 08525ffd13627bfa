-- A question about an account, noted before it is judged.
--
-- KEYS[1]  the history: a list of events, oldest first
-- KEYS[2]  the answer that is kept for a repetition of this very question
-- ARGV[1]  the event
-- ARGV[2]  events that are kept
-- ARGV[3]  how long, in milliseconds
--
-- Returns the kept answer, and then nothing is noted; or the events before this one.
local kept = redis.call('GET', KEYS[2])
if kept then
  return kept
end
local events = redis.call('LRANGE', KEYS[1], 0, -1)
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], -tonumber(ARGV[2]), -1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return events
