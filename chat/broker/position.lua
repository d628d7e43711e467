-- Say where a room's log stands, making its epoch if there is none.
--
-- KEYS  1 log   2 head        ARGV  1 epoch to start with   2 seconds to keep the head
-- Returns {epoch, offset}.

local epoch = redis.call('HGET', KEYS[2], 'epoch')
if not epoch then
  epoch = ARGV[1]
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'offset', 0)
end
redis.call('EXPIRE', KEYS[2], ARGV[2])
return {epoch, tonumber(redis.call('HGET', KEYS[2], 'offset') or 0)}
