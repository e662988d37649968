"""What puts reports of the shipped rules into words, as the command line does it."""

from __future__ import annotations

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
