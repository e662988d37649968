"""`deliv intake`: take in the reports that receivers send; `deliv show-report`: what they say, nothing kept."""

from __future__ import annotations

import glob
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from msgspec.structs import replace

from deliverability.console.command import Command
from deliverability.console.inputs import ports_of, read_settings, run_over
from deliverability.console.language import language
from deliverability.console.options import dns_options, lang_option, text_or_json_option
from deliverability.console.output import paper_for
from deliverability.console.progress import counted
from deliverability.console.types import DayType, NumberType, PathOf, settings_folder
from deliverability.core.codec import json_text
from deliverability.core.codes import ABOUT, VERBATIM, Code
from deliverability.core.errors import NO_SUCH_FILE, InputError, reason_of, set_aside, until_lost
from deliverability.core.inputs import SecretError, parse_domain, secret
from deliverability.core.model.observed import AggregateReport, AggregateRow, TlsReport
from deliverability.core.model.services import Reporter, reporters_listed
from deliverability.core.phrases import detail_words, phrases
from deliverability.core.protocols.psl import registrable_domain
from deliverability.core.replies.match import load_replies
from deliverability.core.replies.outcomes import Outcomes
from deliverability.core.report.paper import history_text
from deliverability.core.rules.knowledge import load_knowledge
from deliverability.core.store.observations import Observations
from deliverability.core.store.store import History, missing_file
from deliverability.core.words.sentences import visible
from deliverability.engine.rules import load_rules, rule_folders
from deliverability.intake.addresses import AddressFile, addresses_into, unproven_into
from deliverability.intake.imap import ImapAccess
from deliverability.intake.places import UnreadPlace, items
from deliverability.intake.readings import FoundReport, UnusedPart, reports_in
from deliverability.intake.report import (
    aggregate_table,
    failure_table,
    intake_json,
    intake_text,
    report_json,
    tls_table,
)
from deliverability.intake.run import IntakeMailbox, IntakePlan, IntakeResult, take_in

if TYPE_CHECKING:
    from deliverability.console.settings import MailboxSettings, Settings
    from deliverability.core.net.ports import Ports

PlanT = TypeVar("PlanT", bound="IntakePlan | None")

_TOKEN_SECONDS = 60
_PORTS = {"tls": 993}
_OTHER_PORT = 143

NO_PLACES = Code("intake-no-places")
NO_MAILBOX = Code("intake-no-mailbox", ("name", "known"))
TOKEN_FAILED = Code("intake-token", ("why",))


@click.command("intake", cls=Command)
@click.argument("places", metavar="[PATH]...", nargs=-1)
@click.option("--mailbox", multiple=True, metavar="NAME")
@click.option("--domain", metavar="DOMAIN")
@click.option("--since", type=DayType(), metavar="DATE")
@click.option("--most", type=NumberType(int, 1), metavar="N")
@click.option("--trust", is_flag=True)
@click.option("--dry-run", is_flag=True)
@click.option("--set-aside", type=PathOf("folder"), metavar="DIR")
@click.option("--history", "url", metavar="URL")
@dns_options
@text_or_json_option
@lang_option
def command(places: tuple[str, ...], style: str, lang: str, **params: Any) -> int:
    """Take in what receivers send back: reports, bounces, complaints, events, logs and their own numbers."""
    settings = read_settings(params["config"])
    folder = settings_folder(params["config"])
    plan = _plan(places, params, settings, folder)
    with keeping_addresses(plan, settings.feedback.addresses) as with_addresses:
        result = _run(with_addresses, params["url"] or settings.history, folder)
    _show(result, style, lang)
    return 3 if result.lost else 0


@contextmanager
def keeping_addresses(plan: PlanT, file: Path | None) -> Iterator[PlanT]:
    """The plan, with the file of addresses taking events where the settings name one. Raises InputError."""
    if file is None or plan is None or plan.dry:
        yield plan
        return
    with closing(AddressFile(file)) as addresses:
        now = int(plan.ports.clock.now().timestamp())
        takes = {"takes_events": addresses_into(addresses, now), "takes_unproven": unproven_into(addresses, now)}
        yield replace(plan, **takes, settles=addresses.settle)


def _plan(places: tuple[str, ...], params: dict[str, Any], settings: Settings, folder: Path) -> IntakePlan:
    """Raises InputError."""
    feedback = settings.feedback
    for each in places:
        if each != "-" and not glob.has_magic(each) and not Path(each).exists():
            raise InputError(NO_SUCH_FILE(name=each))
    known = {each.name: each for each in feedback.mailbox}
    for name in params["mailbox"]:
        if name not in known:
            raise InputError(NO_MAILBOX(name=name, known=tuple(known)))
    chosen = [known[name] for name in params["mailbox"]]
    if not places and not chosen:
        places, chosen = feedback.places, list(known.values())
        if not places and not chosen:
            raise InputError(NO_PLACES())
    named = parse_domain(params["domain"]) if params["domain"] else ""
    return IntakePlan(
        ports=ports_of(params, settings),
        places=places,
        mailboxes=[_mailbox(each, folder) for each in chosen],
        reporters=reporters_listed(load_knowledge(rule_folders(settings.rules)).reporters, settings.reporters),
        authserv=feedback.authserv,
        keep_days=feedback.keep_days,
        vouched=params["trust"],
        since=params["since"],
        most=params["most"],
        set_aside=params["set_aside"],
        dry=params["dry_run"],
        outcomes=outcomes_of(settings),
        domain=named or owner_of(settings),
        own=own_of(settings, named),
    )


def outcomes_of(settings: Settings) -> Outcomes:
    """What replies mean, by the rules of the settings. Raises ReplyError and RuleError."""
    return Outcomes(load_replies(rule_folders(settings.rules), load_rules(settings.rules)))


def owner_of(settings: Settings) -> str:
    """Whose mail it is where what is read does not tell: the only organizational domain of the settings; else empty."""
    homes = own_of(settings)
    return next(iter(homes)) if len(homes) == 1 else ""


def own_of(settings: Settings, *named: str) -> frozenset[str]:
    """The organizational domains of the settings, and of other names (empty ones left out)."""
    names = (*map(parse_domain, settings.names), *filter(None, named))
    return frozenset(map(registrable_domain, names))


def intake_of(settings: Settings, folder: Path, ports: Ports, reporters: Mapping[str, Reporter]) -> IntakePlan | None:
    """All places and mailboxes of the settings; None where they name none."""
    feedback = settings.feedback
    if not feedback.places and not feedback.mailbox:
        return None
    return IntakePlan(
        ports=ports,
        places=feedback.places,
        mailboxes=[_mailbox(each, folder) for each in feedback.mailbox],
        reporters=reporters_listed(reporters, settings.reporters),
        authserv=feedback.authserv,
        keep_days=feedback.keep_days,
        outcomes=outcomes_of(settings),
        domain=owner_of(settings),
        own=own_of(settings),
    )


def _mailbox(box: MailboxSettings, folder: Path) -> IntakeMailbox:
    return IntakeMailbox(box.name, access_to(box, folder), box.done, box.failed, box.most)


def access_to(box: MailboxSettings, folder: Path) -> Callable[[], ImapAccess]:
    """How to reach a mailbox; what logs in is fetched when it is called. Raises InputError then."""

    def access() -> ImapAccess:
        try:
            password = (
                _token(box.token_command) if box.token_command else secret(box.password_env, box.password_file, folder)
            )
        except SecretError as error:
            raise InputError(error.detail) from None
        port = box.port or _PORTS.get(box.security, _OTHER_PORT)
        return ImapAccess(box.host, port, box.security, box.username, password, bool(box.token_command), box.folder)

    return access


def _token(words: tuple[str, ...]) -> str:
    """What the user's own command prints. Raises InputError."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_TOKEN_SECONDS, check=False)  # noqa: S603
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(ABOUT(what=words[0], detail=TOKEN_FAILED(why=VERBATIM(text=why)))) from None
    if done.returncode or not done.stdout.strip():
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise InputError(ABOUT(what=words[0], detail=TOKEN_FAILED(why=VERBATIM(text=last[:300]))))
    return done.stdout.strip()


def _run(plan: IntakePlan, url: str, folder: Path) -> IntakeResult:
    """Raises HistoryError."""
    if plan.dry and missing_file(url, folder=folder) is not None:
        url = "sqlite://"  # in memory: a dry run makes no file either
    with History.open(url, folder=folder) as history, counted("intake.items") as tick, history.held():
        return run_over(plan.ports, take_in(plan, Observations(history), stdin=sys.stdin.buffer, tick=tick))


def _show(result: IntakeResult, style: str, lang: str) -> None:
    say = phrases(lang)
    if style == "json":
        click.echo(intake_json(result, say))
    else:
        click.echo(intake_text(result, paper_for(), say), nl=False)


_ROWS = 25


class _Held:
    """Keeps the rows of one report."""

    def __init__(self) -> None:
        self.rows: list[AggregateRow] = []

    def restart(self) -> None:
        self.rows.clear()

    def take(self, rows: Sequence[AggregateRow]) -> None:
        self.rows.extend(rows)


@click.command("show-report", cls=Command)
@click.argument("files", metavar="FILE|DIR|-...", nargs=-1, required=True)
@click.option("--all", "whole", is_flag=True)
@text_or_json_option
@lang_option
def show_report_command(files: tuple[str, ...], whole: bool, style: str, lang: str) -> int:
    """Show what reports say: aggregate, failure and TLS reports, as they come (gzip, zip, mail)."""
    say = language().say
    lost = False
    first = True
    for name in files:
        if name != "-" and not Path(name).exists():
            raise InputError(NO_SUCH_FILE(name=name))
    for where, found in _found(files):
        if isinstance(found, UnusedPart):
            lost = True
            click.echo(say("punctuation.colon").join((visible(where), detail_words(found.detail, say))), err=True)
            continue
        broken: list[Exception] = []
        with set_aside(broken.append, but=(OSError,)):  # the reader of our output is gone
            rows = found.rows.rows if found.rows else ()
            if style == "json":
                click.echo(json_text({"file": where, **report_json(found.report, rows)}))
            else:
                click.echo(("" if first else "\n") + _report_text(found, rows, whole, lang), nl=False)
            first = False
        lost |= bool(broken)
        for detail in (*map(reason_of, broken), *getattr(found.report, "problems", ())):
            click.echo(say("punctuation.colon").join((visible(where), detail_words(detail, say))), err=True)
    return 3 if lost else 0


def _found(files: Sequence[str]) -> Iterator[tuple[str, FoundReport[_Held] | UnusedPart]]:
    """Every report of every file; of a folder, what is no report is passed over."""
    now = int(time.time())
    for name in files:
        broken: list[Exception] = []
        for item in until_lost(items(name, sys.stdin.buffer), broken.append):
            if isinstance(item, UnreadPlace):
                yield item.name, UnusedPart(item.name, item.detail)
                continue
            for each in reports_in(item.content, item.name, _Held, now):
                if item.alone or not isinstance(each, UnusedPart) or each.is_report:
                    yield item.name, each
        for error in broken:
            yield name, UnusedPart(name, reason_of(error))


def _report_text(found: FoundReport[_Held], rows: Sequence[AggregateRow], whole: bool, lang: str) -> str:
    say = phrases(lang)
    report = found.report
    if isinstance(report, AggregateReport):
        table = aggregate_table(report, rows, 0 if whole else _ROWS, say)
    else:
        table = tls_table(report, say) if isinstance(report, TlsReport) else failure_table(report, say)
    return history_text(table, paper_for(), say)
