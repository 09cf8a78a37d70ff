"""What is said when a candle file cannot be used."""

from dataclasses import dataclass


class CandleFileError(ValueError):
    """The file cannot be imported; the message names file, line or column and what to do."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What only a later part of a file told, and the file has to be read again with."""

    date_order: str | None = None
    volume: int | None = None


class ReadAgain(Exception):
    """The first part of the file was understood wrongly, as a later part shows."""

    def __init__(self, learnt: Learnt) -> None:
        super().__init__(learnt)
        self.learnt = learnt
