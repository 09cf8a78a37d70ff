"""Numbers as files write them."""

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.candles.records import Float64

NO_VALUE = ("", "nan", "NaN", "NAN", "null", "NULL", "None", "NA", "N/A", "n/a", "-")
NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$|^[+-]?(?:inf|Inf|INF|infinity|Infinity)$"


def is_number(text: str) -> bool:
    """Say whether a text is a number as programs write it, without thousands separators."""
    return re.match(NUMBER, text.strip()) is not None


def as_numbers(column: Any) -> Float64:
    """Return a column as float64; what is no number is NaN."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        texts = pc.utf8_trim_whitespace(column)
        numeric = pc.match_substring_regex(texts, NUMBER)
        column = pc.if_else(numeric, texts, pa.scalar(None, texts.type))
    try:
        numbers = pc.cast(column, pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return np.full(len(column), np.nan)
    return np.asarray(numbers.to_numpy(zero_copy_only=False), np.float64)
