"""Histories for the dashboards: twelve weekly runs of a shop, and a year of many domains.

In the twelve weeks reports arrive, a gap opens and closes, SPF grows beyond its limit, and in the end there is unsigned
bulk mail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import text

from deliverability.core.facts.base import Purpose
from deliverability.core.store.store import History
from deliverability.weekly.notify.notifier import weekly_metrics
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


_DOMAIN = "'d' || lpad(d::text, 5, '0') || '.example'"
_DAY = "DATE '2026-12-21' - (:weeks - w) * 7"
_KEY = "decode(md5(d || '-' || w || '-' || r), 'hex')"
_OF = "generate_series(1, :weeks) w, generate_series(1, :domains) d"
_CHANGES = "generate_series(1, :weeks, 10) w, generate_series(1, :domains) d"
_UNTIL = "CASE WHEN w + 10 <= :weeks THEN w + 10 END"
_MANY = (
    f"""INSERT INTO runs (id, started, finished, version)
    SELECT w, {_DAY} || 'T06:00:00Z', {_DAY} || 'T07:00:00Z', '1.0' FROM generate_series(1, :weeks) w""",
    f"""INSERT INTO snapshots (run, domain, source, started, rules_digest, manifest)
    SELECT w, {_DOMAIN}, '', {_DAY} || 'T06:00:00Z', repeat('r', 64), md5(d || '-' || w) || md5(d::text) FROM {_OF}""",
    f"""INSERT INTO verdict_spans (domain, source, receiver, since, until, day, verdict)
    SELECT {_DOMAIN}, '', 'receiver' || r, w, {_UNTIL}, {_DAY},
      CASE WHEN (d + r) % 97 = 0 THEN 2 WHEN (d * r + w) % 5 = 0 THEN 1 ELSE 0 END
    FROM {_CHANGES}, generate_series(1, 8) r""",
    f"""INSERT INTO finding_spans (domain, source, rule, item, since, until, day, severity, outcome)
    SELECT {_DOMAIN}, '', 'RULE-' || lpad(r::text, 3, '0'), '', w, {_UNTIL}, {_DAY},
      (ARRAY['error', 'warning', 'info'])[1 + r % 3], 'unmet'
    FROM {_CHANGES}, generate_series(1, 10) r""",
    f"""INSERT INTO gate_spans (domain, source, since, until, day, policy, answer)
    SELECT {_DOMAIN}, '', w, {_UNTIL}, {_DAY}, 'reject', w % 3 - 1 FROM {_CHANGES}""",
    f"""INSERT INTO seen_traffic
    SELECT {_DOMAIN}, DATE '2026-12-21' - n, :weeks, 1000 + d % 100, 1000 - d % 7, 3, d % 11, 2, 1
    FROM generate_series(0, :weeks * 7 - 1) n, generate_series(1, :domains) d""",
    f"""INSERT INTO obs_reports (id, key, twin, kind, domain, policy_domain, reporter, name, report_id, begin, "end",
      day, trust, intake, copies, records, messages, unread, folded, data)
    SELECT row_number() OVER (), {_KEY}, {_KEY}, 'aggregate', {_DOMAIN}, {_DOMAIN}, 'reporter' || r, 'r', 'x', 0, 0,
      20000 + w * 7, 'verified', 1, 1, 3, 100, 0, 0, ''
    FROM {_OF}, generate_series(1, 5) r""",
)


def many_domains(history: History, domains: int, weeks: int) -> None:
    """What so many weekly runs of so many domains would leave in PostgreSQL, as far as the dashboards read it."""
    with history.writing() as connection:
        for each in _MANY:
            connection.execute(text(each), {"domains": domains, "weeks": weeks})
        connection.execute(text("ANALYZE"))
