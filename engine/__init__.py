"""Pure numerics of the sweep: no I/O, no clock, no database, no queue.

`VERSION` names the numerics: two runs of one version over the same candles and the same request
give the same bytes. It changes whenever any result could change, and a stored shortlist of another
version is never resumed.
"""

VERSION = "1.0.0"
