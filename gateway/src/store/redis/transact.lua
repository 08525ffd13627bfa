-- Changes records all at once, if none of what was read has changed.
--
-- KEYS     every record that was read or is to be changed; all of one slot
-- ARGV     four for each key:
--            what was read: '?' it was not, '-' there was none, '=<bytes>' this
--            what to do: '' leave it, '-' remove it, '=<bytes>' write this
--            until when it is kept, in milliseconds since 1970; '' for ever
--            what the channel of revocations is told of the token that ends with it; '' none ends
--
-- Returns 1, or 0 when somebody else changed something meanwhile.
for i, key in ipairs(KEYS) do
  local read = ARGV[4 * i - 3]
  if read ~= '?' then
    local stored = redis.call('GET', key)
    if (stored and '=' .. stored or '-') ~= read then
      return 0
    end
  end
end
local ended = {}
for i, key in ipairs(KEYS) do
  local change, until_ms, token = ARGV[4 * i - 2], ARGV[4 * i - 1], ARGV[4 * i]
  if change == '-' then
    redis.call('DEL', key)
  elseif change ~= '' then
    if until_ms == '' then
      redis.call('SET', key, string.sub(change, 2))
    else
      redis.call('SET', key, string.sub(change, 2), 'PXAT', until_ms)
    end
  end
  if token ~= '' then
    ended[#ended + 1] = token
  end
end
if #ended > 0 then
  local time = redis.call('TIME')
  local now = time[1] .. string.format('%06d', time[2])
  for _, token in ipairs(ended) do
    -- A server that forbids the channel changes the records all the same: the word of it is for the
    -- metrics, the invalidation of the key is what counts.
    redis.pcall('PUBLISH', 'octroi:kills', now .. ' ' .. token)
  end
end
return 1
