"""The pieces that a report is shown in, and the records and names inside running text."""

from __future__ import annotations

import re

from msgspec import Struct


class SourceView(Struct, frozen=True):
    """Where a requirement comes from; `url` may be empty. `checked`: when it was read and in which form, in words."""

    title: str
    section: str
    url: str
    publisher: str
    checked: str


class EffectView(Struct, frozen=True):
    """What one receiver does about an unmet requirement; `only`: for senders of which volume, where that decides."""

    receiver: str
    effect: str
    words: str
    codes: tuple[str, ...]
    only: str


_LINES_FIT, _LETTERS_FIT = 6, 240


class EvidenceView(Struct, frozen=True):
    """One raw observation with hidden characters written out; `more` lines were left out."""

    anchor: str
    kind: str
    asked: str
    lines: tuple[str, ...]
    more: int
    at: str
    ttl: str

    @property
    def long(self) -> bool:
        """It may not fit its box, on a phone either."""
        return len(self.lines) > _LINES_FIT or sum(map(len, self.lines)) > _LETTERS_FIT


class InstanceView(Struct, frozen=True):
    """One finding of a check: the item it is about and what was found there."""

    item: str
    message: str
    observed: tuple[tuple[str, str], ...]
    evidence: tuple[EvidenceView, ...]


class DifferenceView(Struct, frozen=True):
    """A point on which another program says something else, why, and its own words (or empty)."""

    text: str
    reason: str
    words: str


class OpinionView(Struct, frozen=True):
    """What other programs make of the same: in one sentence, where they differ, and what was not compared."""

    lead: str
    differences: tuple[DifferenceView, ...]
    unheard: tuple[str, ...]


_QUOTED = r'"[^"\n]*"(?: "[^"\n]*")*'
_TYPE = "(?:TXT|CNAME|MX|PTR|A|AAAA)"
_TERM = r"[+?~-]?(?:include:|a\b|mx\b|ip4:|ip6:|exists:|redirect=|ptr\b|exp=)[^\s\"]*"

_RECORD = re.compile(
    r"`(?P<marked>[^`]+)`"  # marked by the author of the rule
    rf"|(?P<line>(?<![A-Za-z0-9_*.\\-])[A-Za-z0-9_*.\\-]++ {_TYPE} {_QUOTED})"  # a line of a zone file
    rf"|(?P<strings>\"v={_QUOTED[1:]})"  # a record in several strings
    rf"|(?P<spf>v=spf1(?: {_TERM})* (?:[+?~-]?all|redirect=[\w.-]+))"
    r"|(?P<tags>v=(?:DMARC1|DKIM1|STSv1|TLSRPTv1|BIMI1)(?:; ?[a-z]+=[^;\s\"。、）]*[^;\s\".,)。、）])+;?)"
)


def segments(text: str) -> tuple[tuple[bool, str], ...]:
    """`text` in pieces; True marks a record or name to be copied as it is (between backticks, or a whole record)."""
    pieces: list[tuple[bool, str]] = []
    end = 0
    for match in _RECORD.finditer(text):
        if match.start() > end:
            pieces.append((False, text[end : match.start()]))
        pieces.append((True, match["marked"] or match[0]))
        end = match.end()
    rest = text[end:]
    # A full stop behind a record would only invite copying it along.
    if rest.strip() and not (pieces and rest.strip() in (".", "。")):
        pieces.append((False, rest))
    return tuple(pieces)


def laid_out(text: str, short: int) -> tuple[tuple[str, str], ...]:
    """The pieces where a record of more than `short` characters has lines of its own.

    Each is ``text``, ``code`` within the sentence, or ``block``. Behind a block, the full stop of the sentence would
    begin a line.
    """
    found: list[tuple[str, str]] = []
    for is_code, piece in segments(text):
        if is_code:
            found.append(("block" if len(piece) > short and " " in piece else "code", piece))
        else:
            behind = bool(found) and found[-1][0] == "block"
            found.append(("text", re.sub(r"\A *(?:。|\.(?=\s|\Z)) *", "", piece) if behind else piece))
    return tuple(found)
