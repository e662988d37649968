"""Twelve weekly runs of a shop, for the dashboards.

Reports arrive, a gap opens and closes, SPF grows beyond its limit, and in the end there is unsigned bulk mail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.facts.base import Purpose
from deliverability.core.store.store import History
from deliverability.weekly.notify.machines import weekly_metrics
from tests.weekly.test_reports import (
    BESIDE,
    DOMAIN,
    GOOGLE,
    MAIN,
    OUTLOOK,
    YAHOO,
    arrive,
    opened,
    signed,
    unsigned,
    week_before,
)
from tests.weekly.test_stories import FIRST

WEEKS = 12
UNSIGNED = f"""\
From: Shop <shop@{DOMAIN}>
To: customer@gmail.com
Subject: News
Date: Mon, 30 Nov 2026 06:00:00 +0000
Message-ID: <1@{DOMAIN}>
MIME-Version: 1.0
Content-Type: text/plain

News
""".replace("\n", "\r\n").encode()
FORGER = "203.0.113.200"


class Weeks(Struct, frozen=True):
    """What twelve runs left: the history, and the metrics of each run with the seconds since 1970 of its end."""

    history: History
    metrics: Sequence[tuple[float, str]]


def weeks(folder: Path, url: str = "") -> Weeks:
    """Run them."""
    life = opened(folder, url)
    metrics = []
    for number in range(1, WEEKS + 1):
        gap = 4 if 4 <= number <= 8 else 0
        reporters = (GOOGLE, OUTLOOK, YAHOO) if number < WEEKS - 1 else (GOOGLE, OUTLOOK)
        rows = [signed(MAIN, 300), unsigned(FORGER, 7), *([unsigned(BESIDE, gap)] if gap else [])]
        arrive(life, week_before(number), reporters, *rows)
        if number == 6:
            life.spf = life.spf.replace("-all", " ".join(f"a:h{n}.{DOMAIN}" for n in range(10)) + " -all")
        if number == 9:
            life.message = UNSIGNED
            life.options = replace(life.options, purpose=Purpose.BULK, daily_volume=20_000)
        at = (FIRST + timedelta(weeks=number - 1)).timestamp()
        metrics.append((at, weekly_metrics(asyncio.run(life.week()))))
    return Weeks(life.history, metrics)
