"""`deliv weekly`: audit all domains of the settings, compare with the run before, write pages, tell people."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from deliverability.cli.command import Command
from deliverability.cli.language import language
from deliverability.cli.options import lang_option, plain_errors, port_options, rule_problems
from deliverability.cli.progress import on_terminal, progress
from deliverability.cli.types import NumberType, OneOf, PathOf

if TYPE_CHECKING:
    from deliverability.history.store import History
    from deliverability.model.weekly import Summary
    from deliverability.notify.notifier import Notifier
    from deliverability.runs.weekly.run import Plan


@click.command("weekly", cls=Command)
@port_options
@click.option("--history", metavar="URL")
@click.option("--output", type=PathOf("folder"), metavar="DIR")
@click.option("--keep", type=NumberType(int, 1), metavar="N")
@lang_option
@click.option("--fail-on", type=OneOf(["error", "warning", "never", "new"]))
@click.option("--no-notify", is_flag=True)
def command(**params: Any) -> int:
    """Audit all domains of the settings, say what changed and why, and write pages for a browser."""
    with plain_errors(), rule_problems():
        from deliverability.auditors import catalogue
        from deliverability.cli.inputs import read_settings
        from deliverability.cli.intake import keeping_addresses
        from deliverability.cli.types import DEFAULT_FILE
        from deliverability.config import NO_SETTINGS
        from deliverability.history.store import History
        from deliverability.judge.files import load_guide
        from deliverability.model.errors import InputError, file_error
        from deliverability.notify.notifier import Notifier
        from deliverability.render.weekly import HtmlPages
        from deliverability.runs.alone import only_one
        from deliverability.runs.exit import worst_exit_code
        from deliverability.runs.rules import rule_folders
        from deliverability.words.details import detail_words

        file = params["config"] or Path(DEFAULT_FILE)
        if not file.is_file():
            raise InputError(NO_SETTINGS(file=str(file)))
        settings = read_settings(params["config"])
        folder = file.absolute().parent
        plan = _plan(params, settings, folder, params["history"] or settings.history)
        pages = HtmlPages(plan.rules, catalogue(), load_guide(rule_folders(settings.rules)))
        lang = params["lang"]
        notifier = Notifier(settings.notify, plan.output, folder, plan.rules, catalogue(), lang)
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
    _tell(summary, plan, lang, pages)
    return worst_exit_code((summary.code, 3 if problems else 0))


def _plan(params: dict[str, Any], settings: Any, folder: Path, history: str) -> Plan:
    """Raises InputError and judge.files.RuleError."""
    from deliverability.cli.inputs import lists_of, ports_of, subject_of_settings
    from deliverability.cli.intake import intake_of
    from deliverability.cli.judging import selection_of, threshold
    from deliverability.inputs import Subject, parse_domain
    from deliverability.runs.observing import observing
    from deliverability.runs.rules import load_rules
    from deliverability.runs.weekly.plan import DEFAULT_OUTPUT, subjects
    from deliverability.runs.weekly.run import Plan

    rules = load_rules(settings.rules)
    lists = lists_of({**params, "rules": ()}, settings, settings.reputation.lists)
    wanted = lists.wanted if lists else None
    ports = ports_of(params, settings, lists)
    fail_on = params["fail_on"] or settings.fail_on

    def asked(domain: str) -> Subject:
        return replace(subject_of_settings(settings, domain), lists_wanted=wanted)

    return Plan(
        subjects=subjects(settings, folder, parse_domain, asked),
        ports=ports,
        rules=rules,
        selection=selection_of(settings, rules),
        output=params["output"] or settings.output or folder / DEFAULT_OUTPUT,
        keep=params["keep"] or settings.keep,
        fail_on=threshold(fail_on),
        only_new=fail_on == "new",
        public=settings.public,
        intake=intake_of(settings, folder, ports, rules.knowledge.reporters),
        observing=observing(settings, folder, history=history),
    )


def _run(plan: Plan, history: History, pages: Any, notifier: Notifier) -> Summary:
    from deliverability.runs.weekly.run import weekly

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
    from deliverability.model.pages import START, page_name
    from deliverability.runs.weekly.run import LATEST
    from deliverability.view.weekly import run_view
    from deliverability.words.sentences import phrases

    view = run_view(summary, phrases(lang), plan.rules, pages.catalogue)
    for each in view.news.sentences:
        click.echo(each.sentence)
    for line in filter(None, (view.sends, view.unread)):
        click.echo(line)
    click.echo(str(plan.output / LATEST / page_name(START, lang)))
