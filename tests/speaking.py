"""What puts reports of the shipped rules into words, as the command line does it."""

from __future__ import annotations

import html as markup
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from deliverability.core.codes import Detail
from deliverability.core.model.report import Report
from deliverability.core.model.rules import Severity
from deliverability.core.phrases import detail_words, phrases
from deliverability.core.report.formats.table import PRINTED, WriterOptions
from deliverability.core.report.report import ReportView
from deliverability.core.rules.problems import load_guide
from deliverability.core.words.speaker import Speaker
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules, rule_folders

BRACKETS = r"（[^（）]*（|）\s*（"
"""What a Japanese sentence never has: brackets within brackets, or a second pair right behind the first."""


_MARKED = r"(?is)<(style|script|svg|code|pre|textarea)\b.*?</\1>"
_INLINE = r"(?i)</?(?:a|b|i|em|strong|span|abbr|dfn|wbr|small|time|button)\b[^>]*>"
_NAMED = r"RFC\s+\d+|pull request \d+|\b[0-9a-f]{12}\b|\d+(?:[ -]bits?\b|ビット)|\b1024 is the\b|\b2048 is\b"
RAW = {
    "a number without separators": r"(?<![\w.,:/#=+-])(?!(?:19|20)\d\d\b)\d{4,}(?![\w.:/-])",
    "a day as programs write it": r"\b20\d\d-\d\d-\d\d\b",
    "a value of the program": r"\b(?:None|True|False|nan)\b(?! of)",
    "one of several": r"(?<![\d,.])\b1 (?:domains|messages|sources|reports|days|entries|lookups|records|services)\b",
    "nothing in brackets": r"\(\s*\)|（\s*）|「」|“”",
    "a stop at the beginning of a line": r"(?m)^\s*[.。、,](?!\w)",
}
"""What no sentence for people holds, by what it is."""


def prose(page: str) -> str:
    """What a page or a terminal says in sentences: without markup, and without what is to be copied."""
    if "<html" in page:
        page = markup.unescape(re.sub(r"<[^>]+>", "\n", re.sub(_INLINE, "", re.sub(_MARKED, "", page))))
    lines = (
        line
        for line in page.splitlines()
        if not re.search(r"https?://|\bv=\w+1\b|^Sisimai: |^\s*[-+] |^\s*max_age: |\.html$", line)
    )
    return re.sub(_NAMED, "-", "\n".join(lines))


def raw(page: str) -> list[str]:
    """What in it was not put into words, each with the line that it is in."""
    found = []
    text = prose(page)
    for what, pattern in RAW.items():
        for match in re.finditer(pattern, text):
            line = text[text.rfind("\n", 0, match.start()) + 1 :].partition("\n")[0]
            found.append(f"{what}: {match[0].strip()!r} in {line.strip()[:160]!r}")
    return found


@cache
def shipped(lang: str = "en", *, guided: bool = False) -> Speaker:
    return Speaker(load_rules(), catalogue(), lang, load_guide(rule_folders()) if guided else ())


def english(detail: Detail | None) -> str:
    """What a detail says in English; nothing where there is none."""
    return detail_words(detail, phrases("en")) if detail else ""


def written(
    name: str, reports: Report | Sequence[Report], speaker: Speaker, *, html: str | None = None, **options: Any
) -> str:
    """One report or several as that format writes them; `html` is the HTML part of the (first) message."""
    several = (reports,) if isinstance(reports, Report) else reports
    settings: dict[str, Any] = {"subjects": len(several), "trace": False, "fail_on": Severity.ERROR, **options}
    writer = PRINTED[name].writer(speaker, WriterOptions(**settings))
    views = [
        ReportView(each, speaker, key=f"s{number}" if len(several) > 1 else "", html=html or "")
        for number, each in enumerate(several, 1)
    ]
    return "".join(writer.report(each) for each in views) + writer.end()
