"""The worker: a Dramatiq actor that claims a lease, computes in a child, writes results."""
