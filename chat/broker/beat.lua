-- Note that a worker lives, forget those that have not said so for long, and say which do.
--
-- KEYS  1 workers (sorted set, by the second of their last sign of life)
-- ARGV  1 worker   2 seconds without a sign after which a worker is gone
-- Returns {1 if the worker was known, names}.

local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. (now - tonumber(ARGV[2])))
local known = redis.call('ZSCORE', KEYS[1], ARGV[1]) and 1 or 0
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('EXPIRE', KEYS[1], 10 * tonumber(ARGV[2]))
return {known, redis.call('ZRANGE', KEYS[1], 0, -1)}
