"""`chat bench`: puts a chat server under load, measures what comes back, and checks that nothing was lost or reordered.

The same generator measures other servers in `benchmarks/`; what it has to know of each is a `Dialect`.
"""
