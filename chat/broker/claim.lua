-- Take a seat in each of several quotas for one worker: in all of them, or in none.
--
-- KEYS  1 workers (sorted set, by the second of their last sign of life)   2… quotas (hashes: seats by worker)
-- ARGV  1 worker   2 seconds without a sign of life after which a worker's seats do not count   3 seconds to keep a quota
--       4, 5… for each quota: its limit, and how many seats the worker itself knows it has
-- Returns 0, or which of the quotas is full.

local oldest = tonumber(redis.call('TIME')[1]) - tonumber(ARGV[2])

local function taken_by_others(quota, limit, mine)
  local seats, others = redis.call('HGETALL', quota), 0
  for n = 1, #seats, 2 do
    if seats[n] ~= ARGV[1] then others = others + tonumber(seats[n + 1]) end
  end
  if others + mine < limit then return others end
  -- It looks full. Only now is it worth asking who of the others lives.
  for n = 1, #seats, 2 do
    if seats[n] ~= ARGV[1] then
      local beat = redis.call('ZSCORE', KEYS[1], seats[n])
      if not beat or tonumber(beat) < oldest then others = others - tonumber(seats[n + 1]) end
      if not beat then redis.call('HDEL', quota, seats[n]) end
    end
  end
  return others
end

local mine = {}
for n = 2, #KEYS do
  local limit, known = tonumber(ARGV[2 * n]), tonumber(ARGV[2 * n + 1])
  -- This store may have lost some; the worker knows better.
  mine[n] = math.max(tonumber(redis.call('HGET', KEYS[n], ARGV[1]) or 0), known)
  if taken_by_others(KEYS[n], limit, mine[n]) + mine[n] >= limit then return n - 1 end
end
for n = 2, #KEYS do
  redis.call('HSET', KEYS[n], ARGV[1], mine[n] + 1)
  redis.call('EXPIRE', KEYS[n], ARGV[3])
end
return 0
