"""The durable queue and what the service remembers, on a library behind one small port."""
