"""What commands that audit share: rules, selection, the run itself, output and exit code."""

from __future__ import annotations

import asyncio
import difflib
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import click
from msgspec import Struct
from msgspec.structs import replace

from deliverability import __version__
from deliverability.console import ending
from deliverability.console.inputs import Inputs
from deliverability.console.language import BOTH, language
from deliverability.console.output import Outputs, Target, targets
from deliverability.console.progress import CLEAR, on_terminal, progress
from deliverability.console.settings import KeyPath, Settings, domain_places
from deliverability.console.types import settings_path
from deliverability.core.codes import Code, Detail
from deliverability.core.errors import InputError, set_aside
from deliverability.core.inputs import Subject
from deliverability.core.model.deliveries import Audience
from deliverability.core.model.knowledge import Knowledge
from deliverability.core.model.report import Report
from deliverability.core.model.rules import RuleSet, Severity
from deliverability.core.model.schema import nearest
from deliverability.core.net.recording import write_recording
from deliverability.core.rules.judge import Selection, judge_of
from deliverability.core.rules.problems import load_guide
from deliverability.core.words.speaker import Speaker
from deliverability.engine.audit import Audited, Extras, Reported, gather_facts, make_report, report_on
from deliverability.engine.base import catalogue
from deliverability.engine.rules import exit_code, load_rules, rule_folders, worst_exit_code
from deliverability.engine.stream import collecting_seldom, stream

_CHOSEN = {
    "receivers": "receiver",
    "regions": "region",
    "profiles": "profile",
    "select": "select",
    "ignore": "ignore",
}
EVERY = "all"
"""In place of a receiver: every one."""
UNKNOWN_RECEIVER = Code("unknown-receiver", ("where", "name", "known"))
UNKNOWN_REGION = Code("unknown-region", ("where", "name", "known"))
UNKNOWN_PROFILE = Code("unknown-profile", ("where", "name", "known"))
NO_RULE_BEGINS = Code("no-rule-begins", ("where", "text"))
UNKNOWN_RULE = Code("waiver-unknown-rule", ("name",))
UNKNOWN_RULE_NEAR = Code("waiver-unknown-rule-near", ("name", "near"))
NONE_READ = Code("none-read")
_PAUSE = 0.002  # seconds in which questions go out and answers are taken

S = TypeVar("S")
T = TypeVar("T")


class Judging(Struct, frozen=True):
    """Everything after the facts. `fail_on` None: findings never give exit code 1."""

    rules: RuleSet
    selection: Selection
    where: list[Target]
    lang: str
    fail_on: Severity | None
    folders: tuple[Path, ...]
    trace: bool
    whole: bool
    audience: Audience | None = None
    places: Mapping[str, str] = {}

    @classmethod
    def of(cls, params: dict[str, Any], settings: Settings) -> Judging:
        """From options, then the settings file. Raises InputError and RuleError."""
        folders = tuple(params["rules"]) or settings.rules
        rules = load_rules(folders)
        where = targets(params["style"], params["output"], both=params["lang"] == BOTH)
        located = any(each.form.name == "sarif" for each in where)
        return cls(
            rules=rules,
            selection=selection_of(settings, rules, params),
            where=where,
            lang=language().people,
            fail_on=threshold(params["fail_on"] or settings.fail_on),
            folders=folders,
            trace=params["trace"],
            whole=params["whole"],
            places=domain_places(settings_path(params.get("config"))) if located else {},
        )

    def of_audience(self, audience: Audience) -> Judging:
        """The same for the receivers of this audience, beside those that were chosen."""
        return replace(self, audience=audience, selection=with_audience(self.selection, audience, self.rules))

    @property
    def speaker(self) -> Speaker:
        """What reports are put into words with; the guide has the user's folders merged over ours."""
        return Speaker(self.rules, catalogue(), self.lang, load_guide(rule_folders(self.folders)))

    def outputs(self, subjects: int) -> Outputs:
        """Everything that is to be written, for that many subjects."""
        shown = {"trace": self.trace, "whole": self.whole}
        return Outputs(self.where, subjects, self.speaker, fail_on=self.fail_on, places=self.places, **shown)

    def take(self, audited: Audited, outputs: Outputs) -> int:
        """Judge saved facts of one subject, write its report and give its exit code; nothing of it is kept.

        No record can be rehearsed on them, so the plan is not that of an audit and shows no numbers.
        """
        report = make_report(audited, self.rules, self.selection)
        return self.write(audited, replace(report, answer=replace(report.answer, numbered=False)), outputs)

    def write(self, audited: Audited, report: Report, outputs: Outputs) -> int:
        """Write the report of one subject and give its exit code."""
        outputs.report(replace(report, audience=self.audience), audited.html)
        found = exit_code(report, self.fail_on)
        return found if self.audience is None or self.audience.complete else worst_exit_code((found, 3))


def with_audience(selection: Selection, audience: Audience, rules: RuleSet) -> Selection:
    """The same for the receivers of an audience, beside those that were chosen."""
    chosen = {*selection.receivers, *audience.receivers}
    return replace(selection, receivers=tuple(ident for ident in rules.receivers if ident in chosen))


def speaker_of(folders: tuple[Path, ...], lang: str) -> Speaker:
    """What reports are put into words with, the user's folders merged over ours. Raises RuleError."""
    return Speaker(load_rules(folders), catalogue(), lang, load_guide(rule_folders(folders)))


def threshold(fail_on: str | None) -> Severity | None:
    """From which severity on findings give exit code 1; None: never. Where only news count, it is that of errors."""
    if fail_on == "never":
        return None
    return Severity.ERROR if fail_on in (None, "new") else Severity(fail_on)


def selection_of(settings: Settings, rules: RuleSet, params: Mapping[str, Any] = MappingProxyType({})) -> Selection:
    """Which rules and receivers count: from options, then the settings file. Its waivers are looked at as well.

    Raises InputError where one names a rule or receiver that does not exist.
    """
    given = {key: tuple(params.get(option) or ()) for key, option in _CHOSEN.items()}
    said = bool(given["receivers"] or given["regions"])  # then not what the settings say of either
    chosen = replace(
        settings,
        receivers=given["receivers"] if said else settings.receivers,
        regions=tuple(each.lower() for each in (given["regions"] if said else settings.regions)),
        profiles=given["profiles"] or settings.profiles,
        select=given["select"] or settings.select,
        ignore=given["ignore"] or settings.ignore,
    )
    wrong = selection_problems(chosen, rules, {key: f"--{_CHOSEN[key]}" for key, values in given.items() if values})
    if wrong:
        raise InputError(*(detail for _, detail in wrong))
    select, ignore = (tuple(each.upper() for each in prefixes) for prefixes in (chosen.select, chosen.ignore))
    return Selection(select, ignore, _each_of(chosen.receivers, chosen.regions, rules), chosen.profiles)


def _each_of(receivers: tuple[str, ...], regions: tuple[str, ...], rules: RuleSet) -> tuple[str, ...]:
    """The receivers that are named, and those of the regions; `all` is every one that is no combination of others."""
    if regions:
        receivers = tuple(dict.fromkeys((*receivers, *rules.of_regions(regions))))
    if EVERY not in receivers:
        return receivers
    every = [each.id for each in rules.receivers.values() if not each.combines]
    return tuple(dict.fromkeys((*every, *(each for each in receivers if each != EVERY))))


def selection_problems(
    settings: Settings, rules: RuleSet, called: Mapping[str, str] = MappingProxyType({})
) -> list[tuple[KeyPath, Detail]]:
    """What settings name that the rules do not have, with its place; `called` are other names of their keys."""
    found: list[tuple[KeyPath, Detail]] = []
    for name in settings.receivers:
        if name != EVERY and name not in rules.receivers:
            where = called.get("receivers", "receivers")
            known = (EVERY, *rules.receivers)
            found.append((("receivers",), UNKNOWN_RECEIVER(where=where, name=name, known=known)))
    for name in settings.regions:
        if name.lower() not in rules.regions:
            where = called.get("regions", "regions")
            found.append((("regions",), UNKNOWN_REGION(where=where, name=name, known=rules.regions)))
    for name in settings.profiles:
        if name not in rules.profiles:
            where, known = called.get("profiles", "profiles"), tuple(rules.profiles)
            unknown = nearest(UNKNOWN_PROFILE(where=where, name=name, known=known), name, known)
            found.append((("profiles",), unknown))
    for key, prefixes in (("select", settings.select), ("ignore", settings.ignore)):
        for prefix in prefixes:
            if not any(rule_id.startswith(prefix.upper()) for rule_id in rules.rules):
                found.append(((key,), NO_RULE_BEGINS(where=called.get(key, key), text=prefix)))
    for number, waiver in enumerate(settings.waiver):
        if waiver.rule not in rules.rules:
            near = difflib.get_close_matches(waiver.rule, rules.rules, n=1)
            problem = UNKNOWN_RULE_NEAR(name=waiver.rule, near=near[0]) if near else UNKNOWN_RULE(name=waiver.rule)
            found.append((("waiver", number, "rule"), problem))
    return found


def run(inputs: Inputs, knowledge: Knowledge, each: Callable[[Audited], T]) -> list[T]:
    """Gather for every job in order and hand each result to `each`; what that gives is kept, the facts are not.

    A subject that cannot be read is told and left out: see Inputs.lost. Raises InputError where that leaves none, and
    where a recording cannot be written.
    """

    def handed(audited: Audited) -> T:
        _tell_crashes(audited)
        return each(audited)

    return _run(inputs, lambda job: gather_facts(job, inputs.ports, knowledge=knowledge), handed)


def run_reports(
    inputs: Inputs,
    rules: RuleSet,
    selection: Selection,
    each: Callable[[Audited, Report], T],
    extras: Extras,
    prepare: Callable[[], None] = lambda: None,
) -> list[T]:
    """As `run`, judged, and with what else is wanted; `prepare` loads what `each` needs while answers are awaited."""

    def handed(got: Reported) -> T:
        _tell_crashes(got.audited)
        return each(got.audited, got.report)

    def ready() -> None:
        judge_of(rules, catalogue(), selection)

    meanwhile = [ready, prepare] if "live" in inputs.ports.sources else []
    return _run(inputs, lambda job: report_on(job, inputs.ports, rules, selection, extras), handed, meanwhile)


def write_reports(
    inputs: Inputs, judging: Judging, outputs: Outputs, *, remedies: bool = True, second_opinion: bool = False
) -> int:
    """As `run_reports`: write the reports, and give the worst exit code."""
    extras = Extras(remedies, second_opinion, outputs.previews)
    write = partial(judging.write, outputs=outputs)
    codes = run_reports(inputs, judging.rules, judging.selection, write, extras, outputs.prepare)
    outputs.end()
    return worst_exit_code((*codes, inputs.code))


async def _done_meanwhile(steps: Sequence[Callable[[], None]]) -> None:
    """Take these steps while answers are on their way; one that fails is told where its result is needed."""
    for step in steps:
        await asyncio.sleep(_PAUSE)
        with suppress(Exception):
            step()


def _lost(inputs: Inputs) -> Callable[[Subject, Exception], None]:
    def lost(subject: Subject, error: Exception) -> None:
        if len(inputs.subjects) == 1:
            raise error
        inputs.set_apart(subject.name, error)

    return lost


def _tell_crashes(audited: Audited) -> None:
    say = language().say
    for crash in audited.crashes:
        if "\n" in crash:
            click.echo(f"{say('cli.internal', what=audited.subject.domain)}\n{crash}", err=True)
        else:  # no fault of ours: what the machine lacks
            click.echo(say("cli.warning", text=f"{audited.subject.domain}: {ending.visible(crash)}"), err=True)


def _run(
    inputs: Inputs,
    work: Callable[[Subject], Coroutine[Any, Any, S]],
    each: Callable[[S], T],
    meanwhile: Sequence[Callable[[], None]] = (),
) -> list[T]:
    results: list[T] = []

    async def go(tick: Callable[[], None]) -> None:
        many = len(inputs.subjects) > 1
        done = asyncio.create_task(_done_meanwhile(meanwhile))
        try:
            with collecting_seldom() if many else nullcontext():
                lost = _lost(inputs)
                async for subject, got in stream(inputs.subjects, work, lost=lost):
                    # Where its report cannot be written at all, nothing of the others can be either.
                    with set_aside(partial(lost, subject), but=(InputError, OSError)):
                        results.append(each(got))
                    tick()
        finally:
            done.cancel()
            await inputs.ports.close()

    if not on_terminal():
        asyncio.run(go(lambda: None))
    elif len(inputs.subjects) == 1:
        name = ending.visible(inputs.subjects[0].name)
        label = language().say("cli.auditing-one", name=name)
        click.echo(label, err=True, nl=False)
        try:
            asyncio.run(go(lambda: None))
        finally:
            click.echo(CLEAR, err=True, nl=False)
    else:
        with progress(len(inputs.subjects)) as shown:
            asyncio.run(go(lambda: shown.tick(time.monotonic())))
    if inputs.record is not None:
        write_recording(inputs.record, inputs.ports, __version__)
    if inputs.lost and not results:
        raise InputError(NONE_READ())
    return results
