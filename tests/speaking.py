"""What puts reports of the shipped rules into words, as the command line does it."""

from __future__ import annotations

from functools import cache

from deliverability.auditors import catalogue
from deliverability.judge.load import load_guide
from deliverability.runs.rules import load_rules, rule_folders
from deliverability.words.speaker import Speaker


@cache
def shipped(lang: str = "en", *, guided: bool = False) -> Speaker:
    return Speaker(load_rules(), catalogue(), lang, load_guide(rule_folders()) if guided else ())
