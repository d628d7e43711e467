-- Put one message into a room's log and tell everybody: all or nothing, in one order.
--
-- KEYS  1 log (stream)   2 head (hash: epoch, offset)   3 idempotency key, if the message has one
-- ARGV  1 channel   2 messages to keep   3 seconds to keep them   4 seconds to keep the head
--       5 seconds to remember the idempotency key   6 body   7 origin
--       8, 9 epoch and offset that the sender has seen; an empty epoch if it has seen nothing
-- Returns the offset; or {epoch, offset, duplicate} if it is a duplicate, or of another epoch than the sender has seen.

if KEYS[3] then
  local seen = redis.call('GET', KEYS[3])
  if seen then
    local epoch, offset = string.match(seen, '^(%S+) (%d+)$')
    if epoch then return {epoch, tonumber(offset), 1} end
  end
end

-- Whatever a Redis user may be forbidden comes before the first write: a script that fails half way is not undone.
local now = redis.call('TIME')
local at = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000))
local epoch = redis.call('HGET', KEYS[2], 'epoch')
if not epoch then
  -- A name that no log of this room had before.
  epoch = string.sub(redis.sha1hex(table.concat(now, '.') .. ' ' .. KEYS[1]), 1, 8)
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[2], 'epoch', epoch)
end
if epoch == ARGV[8] and tonumber(redis.call('HGET', KEYS[2], 'offset') or 0) < tonumber(ARGV[9]) then
  -- This store lost its newest messages, in a failover say. Their offsets have been seen: they are not given again.
  redis.call('HSET', KEYS[2], 'offset', ARGV[9])
end
local offset = redis.call('HINCRBY', KEYS[2], 'offset', 1)
redis.call('EXPIRE', KEYS[2], ARGV[4])

local payload = 'm ' .. epoch .. ' ' .. string.format('%.0f', offset) .. ' ' .. at .. ' ' .. ARGV[7] .. '\n' .. ARGV[6]

if ARGV[2] ~= '0' then
  redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[2], string.format('%.0f-0', offset), 'p', payload)
  if ARGV[3] ~= '0' then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
end
if KEYS[3] and ARGV[5] ~= '0' then
  redis.call('SET', KEYS[3], epoch .. ' ' .. string.format('%.0f', offset), 'EX', ARGV[5])
end
redis.call('PUBLISH', ARGV[1], payload)
return epoch == ARGV[8] and offset or {epoch, offset, 0}
