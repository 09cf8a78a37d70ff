"""Where files lie makes no difference: folders, patterns, archives, compression, standard input."""

import bz2
import gzip
import io
import lzma
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.candles.importing import CandleFileError
from tests.storage.candle_files import MINUTE, START, Row, lines, some_bars, stored

HEADER = "timestamp,open,high,low,close,volume\n"
JANUARY, FEBRUARY = some_bars(12), some_bars(12, start_ms=START + 31 * 1440 * MINUTE)


def content(bars: list[Row]) -> bytes:
    return (HEADER + lines(bars)).encode()


def zipped(**files: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(
                name.replace("__", "/").replace("_", ".").replace("MACOSX", "__MACOSX"), data
            )
    return written.getvalue()


def zstandard(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


def parquet(bars: list[Row]) -> bytes:
    names = HEADER.strip().split(",")
    written = io.BytesIO()
    columns = map(list, zip(*bars, strict=True))
    pq.write_table(pa.table(dict(zip(names, columns, strict=True))), written)
    return written.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "zst": zstandard,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zip": lambda data: zipped(a_csv=data),
    "zip in a zip": lambda data: zipped(b_zip=zipped(a_csv=data)),
    "gz in a zip": lambda data: zipped(a_csv_gz=gzip.compress(data)),
    "zst of two frames": lambda data: zstandard(data[:200]) + zstandard(data[200:]),
}


@pytest.mark.parametrize("kind", PACKED)
def test_packed_files_are_unpacked_whatever_their_name_is(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "candles"
    path.write_bytes(PACKED[kind](content(JANUARY)))

    assert stored(path)[0] == JANUARY


def test_tables_may_be_packed_too(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(a_parquet=parquet(JANUARY)))
    (tmp_path / "b.parquet.gz").write_bytes(gzip.compress(parquet(FEBRUARY)))

    assert stored([tmp_path / "a.zip", tmp_path / "b.parquet.gz"])[0] == JANUARY + FEBRUARY


@pytest.fixture
def months(tmp_path: Path) -> Path:
    folder = tmp_path / "months"
    folder.mkdir()
    (folder / "BTCUSDT-1m-2024-01.zip").write_bytes(zipped(a_csv=content(JANUARY)))
    (folder / "BTCUSDT-1m-2024-02.zip").write_bytes(zipped(b_csv=content(FEBRUARY)))
    return folder


@pytest.mark.parametrize("given", ["folder", "pattern", "files", "files in another order"])
def test_many_files_are_one_import_with_one_report(months: Path, given: str) -> None:
    files = sorted(months.iterdir())
    paths = {
        "folder": [months],
        "pattern": [months / "*-1m-*.zip"],
        "files": files,
        "files in another order": files[::-1],
    }[given]

    bars, report = stored(paths)

    assert bars == JANUARY + FEBRUARY
    assert (report.rows, report.bars, len(report.files)) == (24, 24, 2)
    assert report.remarks() == (
        "1 gap, 44,628 minutes missing (the widest from 2024-01-01 00:11 to 2024-02-01 00:00): "
        "a bar without any minute repeats the last close with volume 0",
    )


def test_each_member_of_an_archive_is_read_and_notes_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "all.zip").write_bytes(
        zipped(
            data__1_csv=content(JANUARY),
            data__2_csv=content(FEBRUARY),
            report_txt=b"gap of 3 seconds",
            MACOSX__1_csv=b"rubbish",
            __absolute_csv=content(JANUARY),
        )
    )

    assert stored(tmp_path / "all.zip")[0] == JANUARY + FEBRUARY


def test_texts_are_candles_where_there_is_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "all.zip").write_bytes(zipped(quotes_txt=content(JANUARY)))

    assert stored(tmp_path / "all.zip")[0] == JANUARY


def test_files_of_a_folder_that_are_passed_over_are_named(months: Path) -> None:
    (months / "CHECKSUM").write_text("abc")

    assert any(
        "1 file passed over" in text and "CHECKSUM" in text for text in stored(months)[1].remarks()
    )


def test_files_that_overlap_are_joined(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content(JANUARY[:8]))
    (tmp_path / "b.csv").write_bytes(content(JANUARY[6:]))

    bars, report = stored(tmp_path)

    assert bars == JANUARY
    assert (report.duplicates, report.conflicts) == (2, 0)


def test_files_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "btc.csv").write_bytes(content(JANUARY))
    (tmp_path / "eth.csv").write_bytes(
        content([(t, *(p + 1 for p in rest)) for t, *rest in JANUARY])
    )

    with pytest.raises(CandleFileError) as caught:
        stored(tmp_path)

    assert str(caught.value) == (
        f"the files together: 12 bars of {tmp_path}/btc.csv and 1 more have other values in a "
        "later file (the first opens at 2024-01-01 00:00); if the later files are right, type "
        "--replace"
    )


def test_one_wrong_file_refuses_all(months: Path) -> None:
    (months / "zz.csv").write_text("rubbish")

    with pytest.raises(CandleFileError, match=r"zz\.csv"):
        stored(months)


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    piped = io.TextIOWrapper(io.BytesIO(zstandard(content(JANUARY))))
    monkeypatch.setattr(sys, "stdin", piped)

    bars, report = stored(Path("-"))

    assert bars == JANUARY
    assert report.files[0].name == "standard input"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (gzip.compress(content(JANUARY))[:-12], "the compressed file is damaged or cut off"),
        (zstandard(content(JANUARY))[:-12], "the compressed file is damaged or cut off"),
        (bz2.compress(content(JANUARY))[:-12], "the compressed file is damaged or cut off"),
        (lzma.compress(content(JANUARY))[:-12], "the compressed file is damaged or cut off"),
        (zipped(a_csv=content(JANUARY))[:-12], "the compressed file is damaged or cut off"),
        (parquet(JANUARY)[:-12], "the Parquet or Feather file is damaged or cut off"),
        (zipped(), "no file in this archive is called like candles"),
        (zipped(readme_md=b"x"), "it holds readme.md"),
        (b"7z\xbc\xaf\x27\x1c", "this is a .7z archive: unpack it first"),
        (b"\xd0\xcf\x11\xe0\xa1", "this is an Excel file: save it as CSV"),
        (zipped(a_csv=b""), "x (a.csv): the file is empty"),
    ],
)
def test_what_cannot_be_unpacked_is_said(tmp_path: Path, data: bytes, expected: str) -> None:
    (tmp_path / "x").write_bytes(data)

    with pytest.raises(CandleFileError) as caught:
        stored(tmp_path / "x")

    assert expected in str(caught.value)


def test_a_pattern_without_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(CandleFileError, match="no file matches this pattern"):
        stored(tmp_path / "*.csv")
