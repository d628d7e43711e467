-- Give back seats of a worker.
--
-- KEYS  quotas (hashes: seats by worker)
-- ARGV  1 worker   2… for each quota: how many seats

for n, quota in ipairs(KEYS) do
  if redis.call('HINCRBY', quota, ARGV[1], -tonumber(ARGV[n + 1])) <= 0 then redis.call('HDEL', quota, ARGV[1]) end
end
