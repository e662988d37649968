"""What puts reports of the shipped rules into words, as the command line does it."""

from __future__ import annotations

from functools import cache

from deliverability.judge.load import load_guide
from deliverability.model.codes import Detail
from deliverability.runs.engine import catalogue, load_rules, rule_folders
from deliverability.words.details import detail_words
from deliverability.words.phrases import phrases
from deliverability.words.speaker import Speaker


@cache
def shipped(lang: str = "en", *, guided: bool = False) -> Speaker:
    return Speaker(load_rules(), catalogue(), lang, load_guide(rule_folders()) if guided else ())


def english(detail: Detail | None) -> str:
    """What a detail says in English; nothing where there is none."""
    return detail_words(detail, phrases("en")) if detail else ""
