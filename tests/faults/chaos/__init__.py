"""Many jobs on a whole stack while everything around them breaks; then what has to be true.

python -m tests.faults.chaos --seed 1 --minutes 10 --workers 4 --schedulers 2
"""
