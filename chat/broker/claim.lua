-- Take a seat in each of several quotas for one worker: in all of them, or in none.
--
-- KEYS  1 workers (sorted set, by the second of their last sign of life)   2… quotas (hashes: seats by worker)
-- ARGV  1 worker   2 seconds without a sign of life after which a worker's seats do not count   3 seconds to keep a quota
--       4, 5… for each quota: its limit, and how many seats the worker itself knows it has
-- Returns 0, or which of the quotas is full.

-- Return how many of these seats are those of workers that do not live; forget the workers that are gone for good.
local function lost(quota, seats)
  local oldest, count = tonumber(redis.call('TIME')[1]) - tonumber(ARGV[2]), 0
  for n = 1, #seats, 2 do
    if seats[n] ~= ARGV[1] then
      local beat = redis.call('ZSCORE', KEYS[1], seats[n])
      if not beat or tonumber(beat) < oldest then count = count + tonumber(seats[n + 1]) end
      if not beat then redis.call('HDEL', quota, seats[n]) end
    end
  end
  return count
end

local noted, mine = {}, {}
for n = 2, #KEYS do
  local limit, seats, others = tonumber(ARGV[2 * n]), redis.call('HGETALL', KEYS[n]), 0
  noted[n] = 0
  for i = 1, #seats, 2 do
    if seats[i] == ARGV[1] then noted[n] = tonumber(seats[i + 1]) else others = others + tonumber(seats[i + 1]) end
  end
  -- This store may have lost some; the worker knows better.
  mine[n] = math.max(noted[n], tonumber(ARGV[2 * n + 1]))
  -- Only if it looks full is it worth asking who of the others lives.
  if others + mine[n] >= limit and others - lost(KEYS[n], seats) + mine[n] >= limit then return n - 1 end
end
for n = 2, #KEYS do
  redis.call('HSET', KEYS[n], ARGV[1], mine[n] + 1)
  if noted[n] == 0 then redis.call('EXPIRE', KEYS[n], ARGV[3]) end  -- later it is restated from time to time
end
return 0
