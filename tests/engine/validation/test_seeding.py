"""Random words are those of splitmix64, by seed and name."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.validation.seeding import words

MASK = 2**64 - 1


def plain_words(state: int, count: int) -> list[int]:
    """The generator as it is written down in C, in numbers without end."""
    found = []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        found.append(z ^ (z >> 31))
    return found


def test_the_plain_generator_is_splitmix64() -> None:
    """The first words of seed 1234567, which other implementations are tested with."""
    assert plain_words(1234567, 3) == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, MASK), st.text(max_size=9), st.integers(0, 9))
def test_words_are_those_of_the_generator(seed: int, name: str, count: int) -> None:
    digest = hashlib.sha256(seed.to_bytes(8, "little") + name.encode("utf-8")).digest()
    start = int.from_bytes(digest[:8], "little")
    assert words(seed, name, count).tolist() == plain_words(start, count)


def test_names_and_seeds_have_nothing_in_common() -> None:
    streams = [words(seed, name, 1000) for seed in (0, 1) for name in ("one", "two")]
    assert len({word for stream in streams for word in stream.tolist()}) == 4000


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_has_64_bits(seed: int) -> None:
    with pytest.raises(ValueError, match=f"seed is {seed}; it must lie between"):
        words(seed, "any", 1)
