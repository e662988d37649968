"""Tables of comma-separated values as feedback has them: their rows, read within limits."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from deliverability.feedback.values import lines_of
from deliverability.mail.words import decode_octets

MAX_ROWS = 200_000
_MAX_LINE = 20_000
_MAX_CELLS = 100


def rows_of(pieces: Iterator[bytes]) -> Iterator[list[str]]:
    """The rows, each cell without white space around it. Raises NotReadError where the stream does."""
    for number, line in enumerate(lines_of(pieces, _MAX_LINE)):
        if number >= MAX_ROWS:
            return
        text = decode_octets(line, None).text.removeprefix("\ufeff")
        try:
            cells = next(csv.reader([text], delimiter="\t" if "\t" in text and "," not in text else ","), [])
        except csv.Error:
            continue
        yield [cell.strip() for cell in cells[:_MAX_CELLS]]
