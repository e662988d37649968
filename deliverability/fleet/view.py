"""The report on a fleet in words and in reading order: what mends most first, then the causes, then all the numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from deliverability.core.model.deliveries import NOBODY, Part
from deliverability.core.model.report import DMARC_STAGES, GRADES, VerdictKind
from deliverability.core.report.audience import share_words
from deliverability.core.rules.claims import earned
from deliverability.core.words.sentences import full_day_words, shortened, visible
from deliverability.core.words.speaker import Speaker
from deliverability.core.words.steps import GAP, rule_noun, rule_short
from deliverability.fleet.tally import CauseGroup, CauseKind, DomainSummary, FleetCauses, FleetTrend

_ACTIONS = 4  # of a kind
_ROWS = 50


class FleetCell(Struct, frozen=True):
    """A cell of a table: text; `name`: what a machine reads (a domain, an include); `share`: from 0 to 1, as a bar."""

    text: str
    name: bool = False
    share: float | None = None


class FleetColumn(Struct, frozen=True):
    """A column: its heading, and whether it holds numbers."""

    heading: str
    number: bool = False


class FleetTable(Struct, frozen=True):
    """A table; the first cell of a row names it. `more`: what is left out, in words, or empty."""

    caption: str
    columns: tuple[FleetColumn, ...]
    rows: tuple[tuple[FleetCell, ...], ...]
    more: str = ""


class FleetSection(Struct, frozen=True):
    """A part of the report: its place on the page, its heading, what it says, and its tables."""

    key: str
    heading: str
    lead: tuple[str, ...]
    tables: tuple[FleetTable, ...] = ()


class FleetAction(Struct, frozen=True):
    """One change that mends many domains: what is the matter, and at how many; the same in words."""

    what: str
    domains: int
    count: str


class FleetView(Struct, frozen=True):
    """The report.

    Attributes:
        heading: how many domains.
        day: of the run, in words.
        lead: the answer, a sentence each.
        actions: what to do first.
        sections: the rest; those with nothing to say are left out.

    """

    heading: str
    day: str
    lead: tuple[str, ...]
    actions: tuple[FleetAction, ...]
    sections: tuple[FleetSection, ...]


def fleet_view(causes: FleetCauses, speaker: Speaker) -> FleetView:
    """The causes of a fleet in the speaker's language."""
    return _Writer(causes, speaker).view()


class _Writer:
    def __init__(self, causes: FleetCauses, speaker: Speaker) -> None:
        self.causes, self.speaker, self.say = causes, speaker, speaker.say

    def view(self) -> FleetView:
        made = (
            self.takeover(),
            self.trend(self.causes.trend) if self.causes.trend else None,
            self.lookups(),
            self.groups(),
            self.dead(),
            self.stages(),
            self.receivers(),
            self.keys(),
            self.shared_keys(),
            self.silences(),
            self.expiring(),
            *self.labels(),
            self.worst(),
            self.rules(),
        )
        return FleetView(
            heading=self.say.count("domains.count", self.causes.domains),
            day=full_day_words(self.causes.day, self.say),
            lead=tuple(self.lead()),
            actions=tuple(self.actions()),
            sections=tuple(each for each in made if each is not None),
        )

    # --- words ---

    def words(self, key: str, **values: str) -> str:
        return self.say(f"fleet-report.{key}", **values)

    def percent(self, part: int, of: int) -> str:
        """A share in whole percent; what is there is never 0, what is missing never 100."""
        if not of:
            return self.say("value.none")
        whole = round(100 * part / of)
        if part and not whole:
            return self.words("percent-least")
        return self.words("percent", n=f"{min(whole, 99) if part < of else 100:,}")

    def domains(self, count: int) -> str:
        return self.say.count("domains.count", count)

    def rule(self, rule_id: str) -> str:
        """What is wrong where a rule is unmet, or where that names a domain's own values, what the rule looks at.

        Its id where the rules of today do not have it.
        """
        rule = self.speaker.rules.rules.get(rule_id)
        if rule is None:
            return rule_id
        short = rule_short(rule, self.speaker.lang)
        return visible(rule_noun(rule, self.speaker.lang) if GAP[0] in short else short)

    def service(self, ident: str) -> str:
        service = self.speaker.rules.knowledge.services.get(ident)
        return service.name[self.speaker.lang] if service else visible(ident) or self.words("no-service")

    def shared(self, group: CauseGroup) -> str:
        """What the domains of a group have in common."""
        name = self.service(group.name) if group.kind is CauseKind.SERVICE else shortened(visible(group.name), 120)
        return self.say(f"fleet-report.kind.{group.kind.value}", name=name)

    def section(self, key: str, lead: Iterable[str], *tables: FleetTable | None) -> FleetSection:
        filled = tuple(each for each in tables if each is not None)
        return FleetSection(key, self.say(f"fleet-report.section.{key}"), tuple(each for each in lead if each), filled)

    def column(self, key: str, *, number: bool = False) -> FleetColumn:
        return FleetColumn(self.say(f"fleet-report.column.{key}"), number)

    def table(
        self,
        caption: str,
        columns: Sequence[str],
        rows: Iterable[Sequence[FleetCell]],
        *,
        most: int = _ROWS,
        numbers: int = 1,
    ) -> FleetTable | None:
        """A table whose columns from place `numbers` on hold numbers; None where it has no row."""
        made = [tuple(row) for row in rows]
        if not made:
            return None
        heads = tuple(
            FleetColumn(self.say(f"fleet-report.column.{key}"), place >= numbers) for place, key in enumerate(columns)
        )
        more = self.say.count("fleet-report.more", len(made) - most) if len(made) > most else ""
        return FleetTable(self.say(f"fleet-report.section.{caption}"), heads, tuple(made[:most]), more)

    # --- the answer ---

    def lead(self) -> Iterator[str]:
        """What anybody could take over, then the problems, that of the most domains first."""
        causes = self.causes
        lookups = causes.lookups
        if causes.takeover:
            worst = causes.takeover[0]
            yield self.words("lead-takeover", name=visible(worst.name), n=self.domains(worst.domains))
        absent = sum(causes.stages.get(stage, 0) for stage in ("absent", "none"))
        problems = [("lead-lookups", lookups.broken), ("lead-dmarc", absent), ("lead-failed", causes.failed)]
        for key, count in sorted(problems, key=lambda problem: -problem[1]):
            if not count:
                continue
            yield self.words(key, n=self.domains(count), share=self.percent(count, causes.domains))
            top = lookups.includes[0] if lookups.includes else None
            if key == "lead-lookups" and top and top.caused:
                yield self.words(
                    "lead-include",
                    name=visible(top.target),
                    n=self.domains(top.caused),
                    share=self.percent(top.caused, count),
                )
        if causes.audience is not None and causes.audience.domains:
            whole = causes.audience.recipients.all
            key = "audience.recipients" if causes.audience.recipients.counted else "audience.named"
            yield self.words(
                "lead-audience",
                whom=self.say.count(key, whole.recipients),
                share=share_words(Part(causes.audience.most), whole, self.say),
                n=self.domains(causes.audience.domains),
            )
        well = {
            "subjects": causes.domains,
            "unchecked": causes.failed,
            "to_mend": lookups.broken + absent + len(causes.takeover),
        }
        if "fleet-fine" in earned(("fleet-fine",), self.speaker.rules, **well):
            yield self.words("lead-fine")

    def actions(self) -> Iterator[FleetAction]:
        """What others could take, then what makes SPF fail, what fails to be checked, the rest; most domains first."""
        every = (
            self._takeover_actions(),
            self._include_actions(),
            self._dead_actions(),
            self._silent_actions(),
            self._key_actions(),
        )
        for some in every:
            yield from sorted(some, key=lambda each: -each.domains)[:_ACTIONS]

    def _action(self, domains: int, key: str, **values: str) -> FleetAction:
        return FleetAction(self.say(f"fleet-report.action.{key}", **values), domains, self.domains(domains))

    def _takeover_actions(self) -> Iterator[FleetAction]:
        for each in self.causes.takeover:
            yield self._action(each.domains, "takeover", name=visible(each.name))

    def _include_actions(self) -> Iterator[FleetAction]:
        for include in self.causes.lookups.includes:
            if include.caused:
                counts = {"one": self.domains(include.mends[0]), "all": self.domains(include.mends[-1])}
                key = "include-one" if include.mends[0] else "include"
                cost = self.say.count("fleet-report.lookups", include.lookups)
                yield self._action(include.caused, key, name=visible(include.target), cost=cost, **counts)

    def _dead_actions(self) -> Iterator[FleetAction]:
        for name, domains in self.causes.dead.items():
            yield self._action(domains, "dead", name=visible(name))

    def _silent_actions(self) -> Iterator[FleetAction]:
        for each in self.causes.silences:
            if each.name:
                yield self._action(each.domains, "silence", name=visible(each.name), why=self.reason(each.reason))

    def _key_actions(self) -> Iterator[FleetAction]:
        for each in self.causes.keys:
            if each.short:
                yield self._action(each.domains, "key" if each.service else "key-own", name=self.service(each.service))

    # --- the sections ---

    def takeover(self) -> FleetSection | None:
        rows = (
            (
                named(each.name),
                FleetCell(self.say("value.separator").join(self.say(f"fleet-report.use.{use}") for use in each.uses)),
                FleetCell(visible(each.service) or self.say("value.none")),
                number(each.domains, self.causes.domains),
            )
            for each in self.causes.takeover
        )
        table = self.table("takeover", ("free", "use", "free-service", "domains"), rows, numbers=3)
        return self.section("takeover", [self.words("takeover")], table) if table else None

    def lookups(self) -> FleetSection | None:
        found = self.causes.lookups
        if not found.broken:
            return None
        lead = [
            self.words("lookups-broken", n=self.domains(found.broken), share=self.percent(found.broken, found.known)),
            self.words("lookups-how"),
            self.words("lookups-own", n=self.domains(found.own)) if found.own else "",
        ]
        rows = (
            (
                named(each.target),
                number(each.caused, found.broken),
                number(each.broken),
                number(each.users),
                FleetCell(self.percent(each.broken, each.users)),
                number(each.lookups),
                number(each.mends[0]),
                number(each.mends[-1]),
            )
            for each in found.includes
            if each.caused
        )
        columns = ("include", "caused", "broken", "users", "rate", "lookups", "mends-one", "mends-all")
        return self.section("lookups", lead, self.table("lookups", columns, rows))

    def groups(self) -> FleetSection | None:
        rows = (
            (
                FleetCell(self.shared(each)),
                FleetCell(self.rule(each.rule)),
                number(each.unmet, each.users),
                FleetCell(self.percent(each.unmet, each.users)),
                FleetCell(self.percent(each.elsewhere, each.others)),
            )
            for each in self.causes.groups
        )
        table = self.table("groups", ("shared", "rule", "unmet", "rate", "elsewhere"), rows, numbers=2)
        return self.section("groups", [self.words("groups")], table) if table else None

    def dead(self) -> FleetSection | None:
        rows = ((named(name), number(count, self.causes.domains)) for name, count in self.causes.dead.items())
        table = self.table("dead", ("include", "users"), rows)
        return self.section("dead", [self.words("dead")], table) if table else None

    def stages(self) -> FleetSection | None:
        names = {stage: self.say(f"weekly.stage.{stage}") for stage in DMARC_STAGES} | {"": self.say("value.unknown")}
        stages = self.causes.stages
        rows = ((FleetCell(name), *self.part(stages[key])) for key, name in names.items() if stages.get(key))
        table = self.table("stages", ("stage", "domains", "share"), rows)
        return self.section("stages", [], table) if table else None

    def receivers(self) -> FleetSection | None:
        every = self.causes.receivers
        kinds = [kind for kind in VerdictKind if any(kind in verdicts for verdicts in every.values())]
        kinds.sort(key=lambda kind: -kind.rank)
        if not kinds:
            return None
        known = self.speaker.rules.receivers
        rows = tuple(
            (
                FleetCell(known[ident].name[self.speaker.lang] if ident in known else visible(ident)),
                *self.recipients(ident),
                *(number(verdicts.get(kind, 0), sum(verdicts.values())) for kind in kinds),
            )
            for ident, verdicts in every.items()
        )
        columns = (
            self.column("receiver"),
            *((self.column("recipients", number=True),) if self.causes.audience else ()),
            *(FleetColumn(self.say(f"verdict.{kind.value}"), number=True) for kind in kinds),
        )
        return self.section(
            "receivers",
            [self.words("receivers")],
            FleetTable(self.say("fleet-report.section.receivers"), columns, rows),
        )

    def recipients(self, receiver: str) -> Iterator[FleetCell]:
        """The share of the recipients that a receiver has, where somebody said whom the mail goes to."""
        if self.causes.audience is not None:
            whole = self.causes.audience.recipients
            yield FleetCell(share_words(whole.receivers.get(receiver, NOBODY), whole.all, self.say))

    def unreached(self, domain: DomainSummary) -> Iterator[FleetCell]:
        """The share of the recipients that its mail does not reach."""
        if self.causes.audience is not None:
            whole = self.causes.audience.recipients.all
            known = domain.unreached is not None
            yield FleetCell(
                share_words(Part(domain.unreached or 0), whole, self.say) if known else self.say("value.none")
            )

    def keys(self) -> FleetSection | None:
        rows = (
            (
                FleetCell(self.service(each.service)),
                number(each.short, each.keys),
                number(each.keys),
                number(each.domains),
            )
            for each in self.causes.keys
        )
        table = self.table("keys", ("service", "short", "keys", "domains"), rows)
        return self.section("keys", [self.words("keys")], table) if table else None

    def shared_keys(self) -> FleetSection | None:
        rows = ((named(each.name), number(each.domains, self.causes.domains)) for each in self.causes.shared_keys)
        table = self.table("shared-keys", ("key-name", "domains"), rows)
        return self.section("shared-keys", [self.words("shared-keys")], table) if table else None

    def silences(self) -> FleetSection | None:
        rows = (
            (
                named(each.name) if each.name else FleetCell(self.words("own-servers")),
                FleetCell(self.reason(each.reason)),
                FleetCell(visible(self.say("value.separator").join(each.servers)), name=True),
                *self.part(each.domains),
            )
            for each in self.causes.silences
        )
        table = self.table("silences", ("owner", "reason", "servers", "domains", "share"), rows, numbers=3)
        if table is None:
            return None
        share = self.percent(self.causes.failed, self.causes.domains)
        return self.section(
            "silences", [self.words("silences", n=self.domains(self.causes.failed), share=share)], table
        )

    def expiring(self) -> FleetSection | None:
        rows = (
            (named(each.domain), FleetCell(self.rule(each.rule)), FleetCell(visible(each.item)), FleetCell(each.until))
            for each in self.causes.expiring
        )
        table = self.table("expiring", ("domain", "rule", "item", "until"), rows, numbers=4)
        return self.section("expiring", [self.words("expiring")], table) if table else None

    def labels(self) -> Iterator[FleetSection]:
        for place, each in enumerate(self.causes.labels):
            rows = (
                (
                    FleetCell(visible(value.value)),
                    number(value.erring, value.domains),
                    number(value.domains),
                    number(value.failed),
                    *(number(value.grades.get(grade, 0)) for grade in GRADES),
                )
                for value in each.worst
            )
            heading = self.words("label", label=shortened(visible(each.label), 60))
            columns = [
                FleetColumn(heading),
                *(self.column(key, number=True) for key in ("erring", "domains", "failed")),
                *(FleetColumn(self.say("verdict.grade", grade=grade), number=True) for grade in GRADES),
            ]
            cut = each.values - len(each.worst)
            more = self.say.count("fleet-report.more", cut) if cut else ""
            yield FleetSection(f"label-{place}", heading, (), (FleetTable(heading, tuple(columns), tuple(rows), more),))

    def worst(self) -> FleetSection | None:
        labels = [each.label for each in self.causes.labels]
        rows = tuple(
            (
                named(each.domain),
                FleetCell(each.grade),
                number(each.errors),
                number(each.warnings),
                *self.unreached(each),
                *(FleetCell(shortened(visible(each.labels.get(label, "")), 60)) for label in labels),
            )
            for each in self.causes.worst
            if each.errors or each.warnings or each.failed
        )
        if not rows:
            return None
        columns = (
            self.column("domain"),
            self.column("grade"),
            FleetColumn(self.say("severity.error"), number=True),
            FleetColumn(self.say("severity.warning"), number=True),
            *((self.column("unreached", number=True),) if self.causes.audience else ()),
            *(FleetColumn(shortened(visible(label), 60)) for label in labels),
        )
        return self.section(
            "worst", [self.words("worst")], FleetTable(self.say("fleet-report.section.worst"), columns, rows)
        )

    def rules(self) -> FleetSection | None:
        rows = (
            (
                FleetCell(self.rule(each.rule)),
                FleetCell(each.rule, name=True),
                FleetCell(self.say(f"severity.{each.severity}")),
                number(each.unmet, each.applies),
                FleetCell(self.percent(each.unmet, each.applies)),
                number(each.unchecked),
            )
            for each in self.causes.rules
            if each.unmet
        )
        columns = ("rule", "id", "severity", "unmet", "of-applies", "unchecked")
        table = self.table("rules", columns, rows, most=200, numbers=3)
        return self.section("rules", [self.words("rules")], table) if table else None

    def trend(self, trend: FleetTrend) -> FleetSection:
        lead = [self.words("trend", both=self.domains(trend.both))]
        if trend.added or trend.gone:
            lead.append(self.words("trend-list", added=self.domains(trend.added), gone=self.domains(trend.gone)))
        includes = (
            (
                named(each.target) if each.target else FleetCell(self.words("no-include")),
                number(each.new),
                number(each.mended),
                FleetCell(self.cost(each.before)),
                FleetCell(self.cost(each.now)),
            )
            for each in trend.includes
        )
        rules = ((FleetCell(self.rule(each.rule)), number(each.new), number(each.mended)) for each in trend.rules)
        stages = (
            (FleetCell(self.say(f"weekly.stage.{before}")), FleetCell(self.say(f"weekly.stage.{now}")), number(count))
            for (before, now), count in trend.stages.items()
        )
        tables = (
            self.table("trend-includes", ("include", "new", "mended", "cost-before", "cost-now"), includes),
            self.table("trend-dead", ("include", "users"), ((named(n), number(c)) for n, c in trend.dead.items())),
            self.table(
                "trend-revived", ("include", "users"), ((named(n), number(c)) for n, c in trend.revived.items())
            ),
            self.table("trend-stages", ("stage-before", "stage-now", "domains"), stages, numbers=2),
            self.table("trend-rules", ("rule", "new", "mended"), rules),
        )
        if not any(tables):
            lead.append(self.words("trend-none"))
        return self.section("trend", lead, *tables)

    def cost(self, lookups: int | None) -> str:
        return self.say("value.none") if lookups is None else str(lookups)

    def reason(self, reason: str) -> str:
        return self.say(f"reason.{reason}") if f"reason.{reason}" in self.say else self.say("value.unknown")

    def part(self, count: int) -> tuple[FleetCell, FleetCell]:
        """Domains, and their share of all."""
        return number(count, self.causes.domains), FleetCell(self.percent(count, self.causes.domains))


def named(name: str) -> FleetCell:
    """A domain or an include."""
    return FleetCell(shortened(visible(name), 120), name=True)


def number(count: int, of: int = 0) -> FleetCell:
    """A number, with a bar of its share of `of` where that is given."""
    return FleetCell(f"{count:,}", share=count / of if of else None)
