-- What became of a question about an account.
--
-- KEYS[1]  the history: a list of events, oldest first
-- KEYS[2]  the answer that is kept for a repetition of this very question
-- ARGV[1]  the event
-- ARGV[2]  events that are kept
-- ARGV[3]  how long, in milliseconds
-- ARGV[4]  the answer, sealed; '' none
-- ARGV[5]  how long it is kept, in milliseconds
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], -tonumber(ARGV[2]), -1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if ARGV[4] ~= '' then
  redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[5])
end
return 1
