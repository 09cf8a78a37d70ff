"""What every output has to be: TA-Lib where it has the function, else a slow plain formula.

A new output needs one line in `ORACLES` of its family: its series of one stretch without holes
(`s.source`, `s.high`, …) and its parameters by name to float64[T]. A `filler` of TA-Lib, printed
where the value is 0/0, is taken out by the formula here. `SLOW` names the outputs whose oracle
looks at one window at a time: over a year of minutes they are compared at its end only.
"""

from tests.engine.indicators.oracles import ma, momentum, structure, trend, volatility, volume

FAMILIES = (ma, momentum, structure, trend, volatility, volume)
ORACLES = {name: oracle for family in FAMILIES for name, oracle in family.ORACLES.items()}
SLOW = frozenset().union(*(family.SLOW for family in FAMILIES))
