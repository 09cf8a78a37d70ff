"""All faults together."""

from tests.faults.chaos.programs import ToPrograms
from tests.faults.chaos.surroundings import ToSurroundings


class Harm(ToPrograms, ToSurroundings):
    """Does what was planned, while there is somebody to do it to."""
