-- The end of one token. Whoever listens learns when it was decided, by the clock of this server.
--
-- KEYS[1]  the token
-- ARGV[1]  the channel
-- ARGV[2]  the token's digest, hexadecimal
--
-- Returns the number of tokens removed, 0 or 1. A server that forbids the channel removes the token
-- all the same: the word of it is for the metrics, the invalidation of the key is what counts.
local removed = redis.call('DEL', KEYS[1])
if removed > 0 then
  redis.pcall('PUBLISH', ARGV[1], string.format('%.0f %s', now, ARGV[2]))
end
return removed
