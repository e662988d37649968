"""What is kept of a run: snapshots as JSON in pieces, and what it found as rows that SQL can read.

A snapshot is a manifest, the name and digest of each piece; the manifest is kept as a piece itself. A week in which
nothing changed has the manifest of the week before, so that runs that found the same share what they keep.

The rows (verdicts, findings, the answer of the gate, reported mail by day) are derived from the snapshots, written in
the transaction that keeps them, and made anew from them; only the days of runs that were pruned are then forgotten. The
views over them are public; docs/dashboards.md describes them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Table, delete, exists, insert, select, update

from deliverability.core.codec import decode, decode_facts, encode, encode_facts
from deliverability.core.facts.traffic import DayVolume, Traffic
from deliverability.core.model.history import GateSeen, Snapshot, StoredFinding
from deliverability.core.model.report import Assessment, Consequence, GateKind, Outcome, Verdict, VerdictKind
from deliverability.core.model.rules import Effect, Severity
from deliverability.core.model.topic import if_known
from deliverability.core.store.facets import in_portions
from deliverability.core.store.tables import finding_spans, gate_spans, seen_traffic, snapshots, verdict_spans
from deliverability.core.store.texts import digest_of, without_texts

_AGES = {"dkim.keys": ("age_days", "selector_age_days")}
"""Fields of the items of facts that count days up to that of the run."""


class Packed(Struct, frozen=True):
    """A snapshot ready to be kept.

    Attributes:
        snapshot: without the texts of its message.
        texts: all that is kept of it, by digest.
        digest: of its manifest; the same for all that say the same of a subject.

    """

    snapshot: Snapshot
    texts: Mapping[str, str]
    digest: str


def pack(snapshot: Snapshot, key: bytes) -> Packed:
    """Facts and evidence by topic, findings, verdicts and inputs as a text each. `key`: of the history."""
    snapshot = without_texts(snapshot, key)
    data = encode_facts(snapshot.facts)
    _replace_ages(data["facts"], partial(_day, snapshot.started))
    pieces: dict[str, Any] = {
        "inputs": encode(snapshot.inputs),
        "findings": [finding_json(each) for each in snapshot.findings],
        "verdicts": assessment_json(snapshot.assessment),
    }
    if snapshot.gate is not None:
        pieces["gate"] = gate_json(snapshot.gate)
    for path, body in data["facts"].items():
        pieces.setdefault(f"facts.{path.partition('.')[0]}", {})[path] = body
    for item in data["evidence"]:
        pieces.setdefault(f"evidence.{item['kind']}", []).append(item)
    texts: dict[str, str] = {}

    def stored(text: str) -> str:
        digest = digest_of(text)
        texts[digest] = text
        return digest

    manifest = {
        name: stored(json.dumps(value, ensure_ascii=False, separators=(",", ":"))) for name, value in pieces.items()
    }
    return Packed(snapshot, texts, stored(json.dumps(manifest, sort_keys=True)))


def _replace_ages(facts: Mapping[str, Any], by: Callable[[Any], Any]) -> None:
    """Ages are kept as the days from which they count, and read as ages again: a week alone changes nothing."""
    for path, names in _AGES.items():
        value = facts[path].get("value") if path in facts else None
        for item in value if isinstance(value, list) else ():
            item |= {name: by(item[name]) for name in names if isinstance(item, dict) and name in item}


def _day(started: str, age: Any) -> Any:
    known = isinstance(age, int) and not isinstance(age, bool)
    return (date.fromisoformat(started[:10]) - timedelta(days=age)).isoformat() if known else age


def _age(started: str, day: Any) -> Any:
    return (date.fromisoformat(started[:10]) - date.fromisoformat(day)).days if isinstance(day, str) else day


def unpacked(pieces: Mapping[str, Any], domain: str, source: str, started: str, rules_digest: str) -> Snapshot:
    """The snapshot of these pieces. Raises LookupError, TypeError, ValueError or AttributeError on anything else."""
    facts: dict[str, Any] = {}
    evidence: list[Any] = []
    for name, piece in pieces.items():
        if name.startswith("facts."):
            facts.update(piece)
        elif name.startswith("evidence."):
            evidence.extend(piece)
    _replace_ages(facts, partial(_age, started))
    inputs = decode(pieces["inputs"])
    return Snapshot(
        domain=domain,
        source=source,
        started=started,
        inputs=inputs if isinstance(inputs, Mapping) else {},
        facts=decode_facts({"facts": facts, "evidence": evidence}),
        findings=read_findings(pieces["findings"]),
        assessment=read_assessment(pieces["verdicts"]),
        rules_digest=rules_digest,
        gate=read_gate(pieces),
    )


def finding_json(finding: StoredFinding) -> dict[str, Any]:
    """A finding as plain JSON values."""
    marks = {"waived": finding.waived, "failed": finding.failed}
    return {
        "rule": finding.rule,
        "item": encode(finding.item),
        "fingerprint": finding.fingerprint,
        "outcome": finding.outcome.value,
        "severity": finding.severity.value,
        **{name: True for name, set_ in marks.items() if set_},
    }


def gate_json(gate: GateSeen) -> dict[str, str]:
    """The answer of the gate as plain JSON values."""
    return {"to": gate.to, "answer": gate.answer.value}


def read_gate(pieces: Mapping[str, Any]) -> GateSeen | None:
    """Of the pieces the answer of the gate, where one was kept."""
    gate = pieces.get("gate")
    return None if gate is None else GateSeen(gate["to"], GateKind(gate["answer"]))


def read_findings(data: Any) -> tuple[StoredFinding, ...]:
    """As `finding_json` gives each."""
    return tuple(_read_finding(each) for each in data)


def _read_finding(data: dict[str, Any]) -> StoredFinding:
    return StoredFinding(
        data["rule"],
        data["item"],
        data["fingerprint"],
        Outcome(data["outcome"]),
        Severity(data["severity"]),
        bool(data.get("waived", False)),
        bool(data.get("failed", False)),
    )


def assessment_json(found: Assessment) -> dict[str, Any]:
    """The grade and the verdicts as plain JSON values."""
    return {
        "grade": found.grade,
        "open": found.open,
        "dns": found.dns.value if found.dns else None,
        "parked": found.parked,
        "closed": found.closed,
        "ways": list(found.ways),
        "verdicts": [_verdict(each) for each in found.verdicts],
    }


def read_assessment(data: Any) -> Assessment:
    """As `assessment_json` gives it."""
    return Assessment(
        verdicts=tuple(_read_verdict(each) for each in data["verdicts"]),
        grade=data["grade"],
        open=data["open"],
        dns=VerdictKind(data["dns"]) if data["dns"] else None,
        closed=data["closed"],
        ways=tuple(data["ways"]),
        parked=data["parked"],
    )


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "receiver": verdict.receiver,
        "verdict": verdict.verdict.value,
        "effects": [_consequence(each) for each in verdict.effects],
        "open": [_consequence(each) for each in verdict.open],
    }


def _read_verdict(data: dict[str, Any]) -> Verdict:
    return Verdict(
        data["receiver"],
        VerdictKind(data["verdict"]),
        effects=tuple(_read_consequence(each, Outcome.UNMET) for each in data["effects"]),
        open=tuple(_read_consequence(each, Outcome.UNKNOWN) for each in data["open"]),
    )


def _consequence(consequence: Consequence) -> list[Any]:
    return [consequence.rule, encode(consequence.item), consequence.effect.value, consequence.contested]


def _read_consequence(data: list[Any], outcome: Outcome) -> Consequence:
    rule, item, effect, contested = data
    return Consequence(rule, item, Effect(effect), contested=bool(contested), outcome=outcome)


_LONGEST = 200  # characters of an item: an index of PostgreSQL takes no long values
_SPANS = (verdict_spans, finding_spans, gate_spans)


class Seen(Struct, frozen=True):
    """Of one subject of a run what becomes rows."""

    run: int
    day: date
    domain: str
    source: str
    verdicts: Sequence[Verdict] = ()
    findings: Sequence[StoredFinding] = ()
    volume: Sequence[DayVolume] = ()
    gate: GateSeen | None = None

    @classmethod
    def of(cls, run: int, started: str, snapshot: Snapshot) -> Seen:
        """Of a snapshot in a run that began then."""
        return cls(
            run,
            date.fromisoformat(started[:10]),
            snapshot.domain,
            snapshot.source,
            snapshot.assessment.verdicts,
            snapshot.findings,
            if_known(snapshot.facts.of(Traffic).volume) or (),
            snapshot.gate,
        )


def keep_rows(connection: Connection, seen: Seen) -> None:
    """Write the rows of a subject. Of a day of mail the newest run tells: reports arrive for days."""
    verdicts = {each.receiver: each.verdict.number for each in seen.verdicts}
    _keep_spans(connection, verdict_spans, seen, verdicts.items())
    _keep_spans(connection, finding_spans, seen, _findings(seen.findings))
    gate = seen.gate
    _keep_spans(connection, gate_spans, seen, [] if gate is None else [(gate.to, gate.answer.number)])
    days = {day: each for each in seen.volume if (day := date.fromisoformat(each.day))}
    if not days:
        return
    table = seen_traffic
    told = (table.c.domain == seen.domain) & table.c.day.between(min(days), max(days))
    connection.execute(delete(table).where(told))
    _add(connection, table, [_mail(day, each, seen) for day, each in days.items() if _is_some(each)])


def _keep_spans(connection: Connection, table: Table, seen: Seen, found: Iterable[tuple[Any, ...]]) -> None:
    """End what is no longer so and begin what is new. `found`: the columns beside those of every span, in order."""
    told = [each for each in table.c if each.name not in ("domain", "source", "since", "until", "day")]
    open_ = (table.c.domain == seen.domain) & (table.c.source == seen.source) & table.c.until.is_(None)
    known = {tuple(row) for row in connection.execute(select(*told).where(open_))}
    now = dict.fromkeys(found)
    for values in known.difference(now):
        this = (column == value for column, value in zip(told, values, strict=True))
        connection.execute(update(table).where(open_, *this).values(until=seen.run))
    begun = {"domain": seen.domain, "source": seen.source, "since": seen.run, "day": seen.day}
    names = [each.name for each in told]
    _add(connection, table, [{**begun, **dict(zip(names, each, strict=True))} for each in now if each not in known])


def take_back_rows(connection: Connection, run: int) -> None:
    """Undo what the newest run wrote: it begins anew."""
    for table in _SPANS:
        connection.execute(delete(table).where(table.c.since == run))
        connection.execute(update(table).where(table.c.until == run).values(until=None))
    connection.execute(delete(seen_traffic).where(seen_traffic.c.run == run))


def prune_rows(connection: Connection, last: int) -> None:
    """Once the snapshots of all runs up to `last` are deleted: what holds in a later one stays."""
    for table in _SPANS:
        later = (snapshots.c.domain == table.c.domain) & (snapshots.c.source == table.c.source)
        holds = later & (table.c.until.is_(None) | (table.c.until > snapshots.c.run))
        connection.execute(delete(table).where(table.c.since <= last, ~exists().where(holds)))
    connection.execute(delete(seen_traffic).where(seen_traffic.c.run <= last))


def clear_rows(connection: Connection) -> None:
    """Delete all rows, to make them anew."""
    for table in (*_SPANS, seen_traffic):
        connection.execute(delete(table))


def _add(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    for some in in_portions(rows):
        connection.execute(insert(table), some)


def _findings(findings: Sequence[StoredFinding]) -> Iterator[tuple[str, str, str, str]]:
    """Those that are unmet, or could not be checked as a look-up failed; of items that are alike the worst one."""
    worst: dict[tuple[str, str], StoredFinding] = {}
    for each in findings:
        key = each.rule, _storable(each.item)
        known = worst.get(key)
        told = each.outcome is Outcome.UNMET or (each.outcome is Outcome.UNKNOWN and each.failed)
        if told and each.severity is not Severity.NONE and (known is None or _badness(each) > _badness(known)):
            worst[key] = each
    for (rule, item), each in worst.items():
        outcome = "waived" if each.waived else each.outcome.value
        yield rule, item, each.severity.value, outcome


def _badness(finding: StoredFinding) -> tuple[bool, bool, int]:
    return not finding.waived, finding.outcome is Outcome.UNMET, finding.severity.rank


def _storable(item: str) -> str:
    """An item as every database takes it, cut off where it is long."""
    return item.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")[:_LONGEST]


def _is_some(day: DayVolume) -> bool:
    return any((day.messages, day.unclaimed, day.forged, day.forwarded, day.altered))


def _mail(day: date, volume: DayVolume, seen: Seen) -> dict[str, Any]:
    return {
        "domain": seen.domain,
        "day": day,
        "run": seen.run,
        "own": volume.messages,
        "passing": volume.aligned,
        "unclaimed": volume.unclaimed,
        "forged": volume.forged,
        "forwarded": volume.forwarded,
        "altered": volume.altered,
    }
