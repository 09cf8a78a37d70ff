"""The scheduler: finds due jobs in Postgres and wakes workers up through the broker."""
