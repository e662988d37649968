"""The report on a fleet: as a page (reports/fleet.html), as JSON, and as CSV."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec import to_builtins
from msgspec.structs import asdict

from deliverability.core.codec import json_text
from deliverability.core.report.formats.csv import csv_row
from deliverability.core.report.formats.html import CONTENT_SECURITY_POLICY
from deliverability.core.report.templates import environment
from deliverability.core.resources import locate
from deliverability.core.words.speaker import Speaker
from deliverability.fleet.tally import DomainSummary, FleetCauses
from deliverability.fleet.view import fleet_view

FORMAT = "1.0"
"""Of the JSON: the second number grows where something is added, the first where something changes or goes."""
COLUMNS = ("section", "rule", "kind", "name", "domains", "of", "detail")


def html(causes: FleetCauses, speaker: Speaker) -> str:
    """A page of its own, without script; every name comes from outside and is escaped."""
    css = "".join((locate("reports") / name).read_text("utf-8") for name in ("style.css", "fleet.css"))
    page = environment().get_template("fleet.html")
    return page.render(
        say=speaker.say,
        lang=speaker.lang,
        view=fleet_view(causes, speaker),
        css=re.sub(r"\n\s*", "\n", css),
        policy=CONTENT_SECURITY_POLICY,
    )


def json(causes: FleetCauses, speaker: Speaker) -> str:
    """All numbers and names, nothing in words."""
    data = asdict(causes)
    if causes.trend is not None:
        stages = [[*stages, count] for stages, count in causes.trend.stages.items()]
        data["trend"] = asdict(causes.trend) | {"stages": stages}
    return json_text({"format": FORMAT, **to_builtins(data)}, indent=2) + "\n"


def table(causes: FleetCauses, speaker: Speaker) -> str:
    """The causes as CSV, one a line: how many domains, of how many, and what else is to be said as `name=value`."""
    return "\ufeff" + csv_row(COLUMNS) + "".join(csv_row([str(cell) for cell in row]) for row in _rows(causes))


def _rows(causes: FleetCauses) -> Iterator[tuple[Any, ...]]:
    every = causes.domains
    for free in causes.takeover:
        detail = " ".join((f"uses={','.join(free.uses)}", *((f"service={free.service}",) if free.service else ())))
        yield "takeover", "", "name", free.name, free.domains, every, detail
    for each in causes.rules:
        if each.unmet:
            yield "rules", each.rule, each.severity, "", each.unmet, each.applies, f"unchecked={each.unchecked}"
    for include in causes.lookups.includes:
        detail = (
            f"lookups={include.lookups} users={include.users} broken={include.broken} "
            f"mends-one={include.mends[0]} mends-all={include.mends[-1]}"
        )
        yield "lookups", "", "include", include.target, include.caused, causes.lookups.broken, detail
    for group in causes.groups:
        detail = f"elsewhere={group.elsewhere} others={group.others}"
        yield "groups", group.rule, group.kind.value, group.name, group.unmet, group.users, detail
    for name, count in causes.dead.items():
        yield "dead", "", "include", name, count, every, ""
    for stage, count in causes.stages.items():
        yield "stages", "", "dmarc", stage, count, every, ""
    for receiver, verdicts in causes.receivers.items():
        for verdict, count in verdicts.items():
            yield "receivers", "", receiver, verdict, count, sum(verdicts.values()), _recipients(causes, receiver)
    for keys in causes.keys:
        yield "keys", "", "service", keys.service, keys.domains, every, f"short={keys.short} keys={keys.keys}"
    for shared in causes.shared_keys:
        yield "shared-keys", "", "key", shared.name, shared.domains, every, ""
    for silence in causes.silences:
        yield "silences", "", silence.reason, silence.name, silence.domains, every, " ".join(silence.servers)
    for ending in causes.expiring:
        yield "expiring", ending.rule, ending.item, ending.domain, 1, every, f"until={ending.until}"
    for label in causes.labels:
        for value in label.worst:
            yield "labels", "", label.label, value.value, value.erring, value.domains, f"failed={value.failed}"
    for bad in causes.worst:
        yield "worst", "", bad.grade, bad.domain, 1, every, _detail_of(bad)
    trend = causes.trend
    if trend is not None:
        for change in trend.rules:
            yield "trend", change.rule, "new", "", change.new, trend.both, f"mended={change.mended}"
        for moved in trend.includes:
            detail = f"mended={moved.mended} before={moved.before} now={moved.now}"
            yield "trend", "", "include", moved.target, moved.new, trend.both, detail


def _recipients(causes: FleetCauses, receiver: str) -> str:
    found = causes.audience.recipients.receivers.get(receiver) if causes.audience else None
    return f"recipients={found.recipients}" if found else ""


def _detail_of(bad: DomainSummary) -> str:
    unreached = "" if bad.unreached is None else f" unreached={bad.unreached}"
    return f"errors={bad.errors} warnings={bad.warnings}{unreached}"


FORMATS = {".html": html, ".htm": html, ".json": json, ".csv": table}
"""By the ending of the file."""
