"""What a fleet run keeps of each domain beside its facts, and how far such a run is, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from deliverability.model.codes import Detail
from deliverability.model.facts import Purpose


class FleetSubject(Struct, frozen=True):
    """One line of the input.

    Attributes:
        domain: A-label.
        purpose: what the domain sends; None: not given.
        daily_volume: messages a day, or None.
        selectors: DKIM selectors to look up besides those found.
        labels: what else the table says of it (``customer``, ``tier`` …); empty cells are left out.

    """

    domain: str
    purpose: Purpose | None = None
    daily_volume: int | None = None
    selectors: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


class FleetFinding(Struct, frozen=True):
    """A rule that is unmet, or that could not be checked because a look-up failed.

    Attributes:
        rule: rule id.
        item: the item of an `each` rule, else empty.
        outcome: ``unmet`` or ``unknown``.
        severity: of the finding, see model.rules.Severity.
        fingerprint: stable across runs.
        waiver: why the user accepts it (see model.facts.Waiver), or empty.

    """

    rule: str
    item: str
    outcome: str
    severity: str
    fingerprint: str
    waiver: str = ""


class Unchecked(Struct, frozen=True):
    """A question that nobody answered.

    Attributes:
        asked: the question, for example ``TXT example.com``.
        reason: see model.facts.Reason.
        server: who kept silent, refused or failed; empty where that is not known.

    """

    asked: str
    reason: str
    server: str = ""


class FleetRow(Struct, frozen=True):
    """The judgement of one domain: one line of a file of findings.

    Attributes:
        domain: A-label.
        labels: as the input has them.
        grade: ``A`` to ``F``.
        dns: the headline over all receivers (see model.report.VerdictKind); None for a parked domain.
        parked: the domain sends nothing.
        verdicts: receiver id -> verdict; empty for a parked domain.
        findings: what is unmet, and what could not be checked.
        met: rules that are met, each once.
        waiting: rules that wait for what nobody gave (a message above all), each once.
        not_applicable: rules that do not apply, each once.
        failed: a look-up failed, so that a fact is unknown; or nothing could be found out at all, see `lost`.
        lost: why there are no facts, as the JSON of a detail (model.codec.decode_detail); None where there are.
        unchecked: questions that nobody answered.
        name_servers: of the registered domain, in order of the alphabet; None where nobody could say.
        stale: paths of facts that failed again when they were retried, and stand as they were known before.
        facts: path -> value, as JSON, of those that tell causes (runs.fleet.judging.CAUSE_FACTS), so that a report need
            not read them all.

    """

    domain: str
    labels: Mapping[str, str] = field(default_factory=dict)
    grade: str = ""
    dns: str | None = None
    parked: bool = False
    verdicts: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[FleetFinding, ...] = ()
    met: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    not_applicable: tuple[str, ...] = ()
    failed: bool = False
    lost: Mapping[str, Any] | None = None
    unchecked: tuple[Unchecked, ...] = ()
    name_servers: tuple[str, ...] | None = None
    stale: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it is written: findings and questions as lists without names, what is empty left out."""
        data: dict[str, Any] = {
            "domain": self.domain,
            "labels": dict(self.labels),
            "grade": self.grade,
            "dns": self.dns,
            "parked": self.parked,
            "verdicts": dict(self.verdicts),
            "findings": [
                [each.rule, each.item, each.outcome, each.severity, each.fingerprint, each.waiver]
                for each in self.findings
            ],
            "met": self.met,
            "waiting": self.waiting,
            "not_applicable": self.not_applicable,
            "failed": self.failed,
            "lost": self.lost,
            "unchecked": [[each.asked, each.reason, each.server] for each in self.unchecked],
            "name_servers": self.name_servers,
            "stale": self.stale,
            "kept": dict(self.facts),
        }
        # No name servers are something else than none that could be told.
        return {
            name: value
            for name, value in data.items()
            if value or name == "domain" or (name == "name_servers" and value is not None)
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FleetRow:
        """The reverse of `to_json`. Raises KeyError, TypeError or ValueError on anything else."""
        servers = data.get("name_servers")
        return cls(
            domain=data["domain"],
            labels=data.get("labels", {}),
            grade=data.get("grade", ""),
            dns=data.get("dns"),
            parked=data.get("parked", False),
            verdicts=data.get("verdicts", {}),
            findings=tuple(FleetFinding(*each) for each in data.get("findings", ())),
            met=tuple(data.get("met", ())),
            waiting=tuple(data.get("waiting", ())),
            not_applicable=tuple(data.get("not_applicable", ())),
            failed=data.get("failed", False),
            lost=data.get("lost"),
            unchecked=tuple(Unchecked(*each) for each in data.get("unchecked", ())),
            name_servers=None if servers is None else tuple(servers),
            stale=tuple(data.get("stale", ())),
            facts=data.get("kept", {}),
        )


class FleetStatus(Struct, frozen=True):
    """How far a fleet run is.

    Attributes:
        domains: how many there are.
        done: of them, gathered and judged.
        failed: of those done, how many have a look-up that failed.
        duplicates: lines of the input that name a domain again.
        refused: lines of the input that name none.
        running: whether a process is at work on it.
        seconds: how long the newest run has taken.
        rate: domains a second of the newest run; 0 where that cannot be told yet.
        digest: of all facts and judgements, whenever they were made (see runs.fleet.shards).
        damaged: files that are not as they were written, and why; their shards are to be done again.

    """

    domains: int
    done: int
    failed: int
    duplicates: int
    refused: int
    running: bool
    seconds: float
    rate: float
    digest: str
    damaged: tuple[Detail, ...] = ()

    @property
    def left(self) -> int:
        """How many are still to do."""
        return self.domains - self.done

    @property
    def seconds_left(self) -> float | None:
        """How long these may take at the rate so far; None where that cannot be told."""
        return self.left / self.rate if self.rate else None
