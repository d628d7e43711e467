-- Put one message into a room's log and tell everybody: all or nothing, in one order.
--
-- KEYS  1 log (stream)   2 head (hash: epoch, offset)   3 idempotency key, if the message has one
-- ARGV  1 channel   2 body   3 origin   4 epoch to start with, if there is none
--       5 messages to keep   6 seconds to keep them   7 seconds to keep the head
--       8 seconds to remember the idempotency key   9, 10 epoch and offset that the sender has seen, if any
-- Returns {epoch, offset, duplicate}.

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
  epoch = ARGV[4]
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[2], 'epoch', epoch)
end
if epoch == ARGV[9] and tonumber(redis.call('HGET', KEYS[2], 'offset') or 0) < tonumber(ARGV[10]) then
  -- This store lost its newest messages, in a failover say. Their offsets have been seen: they are not given again.
  redis.call('HSET', KEYS[2], 'offset', ARGV[10])
end
local offset = redis.call('HINCRBY', KEYS[2], 'offset', 1)
redis.call('EXPIRE', KEYS[2], ARGV[7])

local payload = 'm ' .. epoch .. ' ' .. string.format('%.0f', offset) .. ' ' .. at .. ' ' .. ARGV[3] .. '\n' .. ARGV[2]

if ARGV[5] ~= '0' then
  redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[5], string.format('%.0f-0', offset), 'p', payload)
  if ARGV[6] ~= '0' then redis.call('EXPIRE', KEYS[1], ARGV[6]) end
end
if KEYS[3] and ARGV[8] ~= '0' then
  redis.call('SET', KEYS[3], epoch .. ' ' .. string.format('%.0f', offset), 'EX', ARGV[8])
end
redis.call('PUBLISH', ARGV[1], payload)
return {epoch, offset, 0}
