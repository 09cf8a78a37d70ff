"""Reading candle files as people have them: any dialect, container and size.

A file is read once, block by block, into a temporary file (`spool`); what all of its rows say is
judged (`drops`, `evidence`, `form`) before a single bar is given to a store. Whatever is doubtful
is refused with the evidence and what to type, or kept and told.

`sources` finds and unpacks files, `csv_file`, `tables` and `json_file` read them, `layout` and
`times` say what columns and times mean, `reading` tells the story of one file, `batch` that of
files which are published together.
"""

from storage.candles.importing.choices import Choices
from storage.candles.importing.errors import CandleFileError
from storage.candles.importing.report import FileReport, ImportReport

__all__ = ["CandleFileError", "Choices", "FileReport", "ImportReport"]
