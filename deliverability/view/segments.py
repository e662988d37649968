"""Records and names inside running text, found so that they can be set apart and copied."""

from __future__ import annotations

import re
from functools import cache

_QUOTED = r'"[^"\n]*"(?: "[^"\n]*")*'
_TYPE = "(?:TXT|CNAME|MX|PTR|A|AAAA)"
_TERM = r"[+?~-]?(?:include:|a\b|mx\b|ip4:|ip6:|exists:|redirect=|ptr\b|exp=)[^\s\"]*"


@cache
def _record() -> re.Pattern[str]:
    return re.compile(
        r"`(?P<marked>[^`]+)`"  # marked by the author of the rule
        rf"|(?P<line>(?<![A-Za-z0-9_*.\\-])[A-Za-z0-9_*.\\-]++ {_TYPE} {_QUOTED})"  # a line of a zone file
        rf"|(?P<strings>\"v={_QUOTED[1:]})"  # a record in several strings
        rf"|(?P<spf>v=spf1(?: {_TERM})* (?:[+?~-]?all|redirect=[\w.-]+))"
        r"|(?P<tags>v=(?:DMARC1|DKIM1|STSv1|TLSRPTv1|BIMI1)(?:; ?[a-z]+=[^;\s\"]*[^;\s\".,)])+;?)"
    )


def segments(text: str) -> tuple[tuple[bool, str], ...]:
    """`text` in pieces; True marks a record or name to be copied as it is (between backticks, or a whole record)."""
    pieces: list[tuple[bool, str]] = []
    end = 0
    for match in _record().finditer(text):
        if match.start() > end:
            pieces.append((False, text[end : match.start()]))
        pieces.append((True, match["marked"] or match[0]))
        end = match.end()
    rest = text[end:]
    # A full stop behind a record would only invite copying it along.
    if rest.strip() and not (pieces and rest.strip() in (".", "。")):
        pieces.append((False, rest))
    return tuple(pieces)
