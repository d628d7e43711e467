-- Say where a room's log stands, making its epoch if there is none.
--
-- KEYS  1 log   2 head
-- ARGV  1 epoch to start with   2 seconds to keep the head   3, 4 epoch and offset that the asker has seen, if any
-- Returns {epoch, offset}.

local epoch = redis.call('HGET', KEYS[2], 'epoch')
if not epoch then
  epoch = ARGV[1]
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'offset', 0)
end
redis.call('EXPIRE', KEYS[2], ARGV[2])
local offset = tonumber(redis.call('HGET', KEYS[2], 'offset') or 0)
if epoch == ARGV[3] and offset < tonumber(ARGV[4]) then
  -- As in publish.lua: offsets that have been seen are not given again.
  offset = tonumber(ARGV[4])
  redis.call('HSET', KEYS[2], 'offset', ARGV[4])
end
return {epoch, offset}
