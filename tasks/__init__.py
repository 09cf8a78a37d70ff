"""The worker: a Dramatiq actor that claims a job's lease, computes in a child and writes results."""
