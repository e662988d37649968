"""`deliv weekly`: audit all domains of the settings, compare with the run before, write pages, tell people."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from deliverability.console.command import Command
from deliverability.console.inputs import lists_of, ports_of, read_settings, subject_of_settings
from deliverability.console.judging import selection_of, threshold, with_audience
from deliverability.console.language import language
from deliverability.console.options import lang_option, port_options
from deliverability.console.progress import on_terminal, progress
from deliverability.console.settings import NO_SETTINGS
from deliverability.console.types import NamesOf, NumberType, OneOf, PathOf, settings_path
from deliverability.core.errors import InputError, file_error
from deliverability.core.inputs import Subject, parse_domain
from deliverability.core.phrases import detail_words, joined, phrases
from deliverability.core.report.formats.table import START, page_name
from deliverability.core.rules.problems import load_guide
from deliverability.core.store.store import History
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules, rule_folders, worst_exit_code
from deliverability.engine.stream import only_one
from deliverability.intake.command import intake_of, keeping_addresses
from deliverability.lists.audience import audience_given
from deliverability.observing import observing
from deliverability.weekly.messages import DEFAULT_OUTPUT, subjects
from deliverability.weekly.notify.notifier import Notifier
from deliverability.weekly.pages import HtmlPages
from deliverability.weekly.run import LATEST, Plan, weekly
from deliverability.weekly.view import run_view

if TYPE_CHECKING:
    from deliverability.weekly.values import Summary


@click.command("weekly", cls=Command)
@port_options
@click.option("--history", metavar="URL")
@click.option("-o", "--output", type=PathOf("folder"), metavar="DIR")
@click.option("--region", type=NamesOf(), metavar="jp|de|fr|kr|br|...")
@click.option("--to", metavar="FILE|DOMAIN,...")
@click.option("--keep", type=NumberType(int, 1), metavar="N")
@lang_option
@click.option("--fail-on", type=OneOf(["error", "warning", "never", "new"]))
@click.option("--no-notify", is_flag=True)
def command(**params: Any) -> int:
    """Audit all domains of the settings, say what changed and why, and write pages for a browser."""
    file = settings_path(params["config"])
    if not file.is_file():
        raise InputError(NO_SETTINGS(file=str(file)))
    settings = read_settings(params["config"])
    folder = file.absolute().parent
    plan = _plan(params, settings, folder, params["history"] or settings.history)
    pages = HtmlPages(plan.rules, catalogue(), load_guide(rule_folders(settings.rules)))
    lang = params["lang"]
    notifier = Notifier(settings.notify, plan.output, folder, plan.rules, catalogue(), lang)
    silenced = notifier.channels if params["no_notify"] else ()
    if params["no_notify"]:
        notifier = replace(notifier, settings=type(settings.notify)())
    history = History.open(params["history"] or settings.history, folder=folder)
    try:
        with (
            only_one(plan.output, public=plan.public),
            history.held(),
            keeping_addresses(plan.intake, settings.feedback.addresses) as intake,
        ):
            summary = _run(replace(plan, intake=intake), history, pages, notifier)
            problems = notifier.send()
    except OSError as error:
        raise InputError(file_error(error.filename or plan.output, error)) from None
    finally:
        history.close()
    say = language().say
    for problem in problems:
        click.echo(say("cli.warning", text=detail_words(problem, say)), err=True)
    if silenced:
        left_out = joined([detail_words(each, say) for each in silenced], say)
        click.echo(say("weekly.silenced", what=left_out), err=True)
    _tell(summary, plan, lang, pages)
    return worst_exit_code((summary.code, 3 if problems else 0))


def _plan(params: dict[str, Any], settings: Any, folder: Path, history: str) -> Plan:
    """Raises InputError and RuleError."""
    rules = load_rules(settings.rules)
    lists = lists_of({**params, "rules": ()}, settings, settings.reputation.lists)
    wanted = lists.wanted if lists else None
    ports = ports_of(params, settings, lists)
    fail_on = params["fail_on"] or settings.fail_on
    selection = selection_of(settings, rules, params)
    audience = audience_given(params, settings, rules, settings.rules)

    def asked(domain: str) -> Subject:
        return replace(subject_of_settings(settings, domain), lists_wanted=wanted)

    return Plan(
        subjects=subjects(settings, folder, parse_domain, asked),
        ports=ports,
        rules=rules,
        selection=with_audience(selection, audience, rules) if audience else selection,
        audience=audience,
        output=params["output"] or settings.output or folder / DEFAULT_OUTPUT,
        keep=params["keep"] or settings.keep,
        fail_on=threshold(fail_on),
        only_new=fail_on == "new",
        public=settings.public,
        intake=intake_of(settings, folder, ports, rules.knowledge.reporters),
        observing=observing(settings, folder, history=history),
    )


def _run(plan: Plan, history: History, pages: Any, notifier: Notifier) -> Summary:
    def notifications(summary: Summary) -> None:
        notifier.write(summary, plan.ports.clock.now())

    def go(tick: Callable[[str], None]) -> Summary:
        async def work() -> Summary:
            try:
                return await weekly(plan, history, pages, tick, notifications)
            finally:
                await plan.ports.close()

        return asyncio.run(work())

    if not on_terminal():
        return go(lambda domain: None)
    with progress(len(plan.subjects)) as shown:
        return go(lambda domain: shown.tick(time.monotonic()))


def _tell(summary: Summary, plan: Plan, lang: str, pages: Any) -> None:
    view = run_view(summary, phrases(lang), plan.rules, pages.catalogue)
    for each in view.news.sentences:
        click.echo(each.sentence)
    for line in filter(None, (*view.audience, view.sends, view.unread)):
        click.echo(line)
    click.echo(str(plan.output / LATEST / page_name(START, lang)))
