"""How fast it is: a load generator, peers, and the comparison that makes docs/performance.md."""
