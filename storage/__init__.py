"""Everything that speaks to a database, and nothing else."""
