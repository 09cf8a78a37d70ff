"""Text in any encoding and with any line ends, as blocks of whole lines."""

import codecs
import itertools
from collections.abc import Iterator
from typing import IO

BLOCK_BYTES = 1 << 20
BYTE_ORDER_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def whole_lines(text: IO[bytes]) -> Iterator[bytes]:
    """Give the content in blocks of whole lines that end with a line feed, as UTF-8."""
    pending = b""
    carriage_returns: bool | None = None
    for part in _decoded(iter(lambda: text.read(BLOCK_BYTES), b"")):
        if carriage_returns is None:
            carriage_returns = b"\n" not in part and b"\r" in part
        block = part.replace(b"\r", b"\n") if carriage_returns else part
        end = block.rfind(b"\n") + 1
        if end:
            yield _as_utf8(pending + block[:end])
            pending = block[end:]
            continue
        pending += block
        if len(pending) > 2 * BLOCK_BYTES:
            # So long a line is refused by whoever counts lines.
            break
    if pending:
        yield _as_utf8(pending)


def _decoded(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Turn UTF-16 into UTF-8 and leave out the mark at the beginning."""
    first = next(blocks, b"")
    encoding = BYTE_ORDER_MARKS.get(first[:2])
    if encoding is None and first[1:64:2].count(0) > 20:
        encoding = "utf-16-le"
    if encoding is None:
        yield first.removeprefix(codecs.BOM_UTF8)
        yield from blocks
        return
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for block in itertools.chain([first], blocks):
        yield decoder.decode(block).encode("utf-8", "replace")


def _as_utf8(block: bytes) -> bytes:
    if block.isascii():
        return block
    try:
        block.decode("utf-8")
    except UnicodeDecodeError:
        # Names in an old encoding; figures are the same in all of them.
        return block.decode("latin-1").encode("utf-8")
    return block
