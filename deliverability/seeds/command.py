"""`deliv seeds`: test mailboxes, where a test mail landed in them, and what all tests have shown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deliverability.console.command import Command, Lazy
from deliverability.console.inputs import ports_of, read_settings, sample_of, subject_of_settings
from deliverability.console.language import language
from deliverability.console.options import (
    config_option,
    dns_options,
    lang_option,
    rule_folders_option,
    speaking_option,
    text_or_json_option,
)
from deliverability.console.output import put, show, terminal
from deliverability.console.settings import MailboxSettings, SeedSettings, Settings
from deliverability.console.types import NumberType, OneOf, PathOf, settings_path
from deliverability.core.codes import Code
from deliverability.core.errors import InputError
from deliverability.core.mail.reader import Message, read
from deliverability.core.names import is_within
from deliverability.core.net.clock import SystemClock
from deliverability.core.phrases import phrases
from deliverability.core.report.paper import Paper
from deliverability.core.store.store import History, missing_file
from deliverability.core.words.sentences import visible
from deliverability.engine.rules import load_rules
from deliverability.intake.command import access_to
from deliverability.seeds import report as render
from deliverability.seeds.arrived import Auditing, placed
from deliverability.seeds.kept import DAYS, SeedHistory, matrices
from deliverability.seeds.mailbox import Outcome, await_mail
from deliverability.seeds.values import Folder, Mark, Placed, Seed, new_token, parse_message_id, parse_token

if TYPE_CHECKING:
    from deliverability.core.model.rules import RuleSet

NO_SEEDS = Code("seeds-none")
NO_SEED = Code("seeds-no-mailbox", ("name", "known"))
NO_HOST = Code("seeds-no-host", ("name",))
NO_RECEIVER = Code("seeds-no-receiver", ("name", "receiver", "known"))
NO_MARK = Code("seeds-no-mark")
NO_TIME = Code("seeds-no-time", ("text",))
FUTURE = Code("seeds-future", ("text",))
TOO_MANY = Code("seeds-too-many-tests", ("n",))

COMMANDS = {
    "list": "seeds.command:list_command",
    "await": "seeds.command:await_command",
    "matrix": "seeds.command:matrix_command",
}


@click.group("seeds", cls=Lazy, table=COMMANDS)
@speaking_option
def command() -> None:
    """See where test mails land in mailboxes of your own."""


@click.command("seeds-list", cls=Command)
@click.option("--token", metavar="TOKEN")
@click.option("--history", "url", metavar="URL")
@config_option
@rule_folders_option
@text_or_json_option
@lang_option
def list_command(
    token: str | None, url: str | None, config: Path | None, rules: tuple[Path, ...], style: str, lang: str
) -> int:
    """Print where to send a test mail, and how to mark it."""
    settings, folder = read_settings(config), settings_path(config).absolute().parent
    loaded = load_rules(rules or settings.rules)
    seeds = seeds_of(settings, folder, loaded)
    mark = parse_token(token) if token else new_token()
    left = max(0, settings.seeds.tests_a_day - len(_of_today(url or settings.history, folder)))
    if style == "json":
        click.echo(render.list_json(seeds, mark, left), nl=False)
    else:
        show(render.list_text(seeds, mark, left, loaded, Paper.of_terminal(**terminal()), phrases(lang)))
    return 0


@click.command("seeds-await", cls=Command)
@click.argument("token", metavar="[TOKEN]", required=False)
@click.option("--message-id", metavar="ID")
@click.option("--sent", metavar="TIME")
@click.option("--eml", metavar="FILE|-")
@click.option("--mailbox", multiple=True, metavar="NAME")
@click.option("--minutes", type=NumberType(float, 0, 30), metavar="N")
@click.option("--history", "url", metavar="URL")
@dns_options
@rule_folders_option
@text_or_json_option
@lang_option
def await_command(token: str | None, style: str, lang: str, **params: Any) -> int:
    """Wait until a test mail is in every mailbox, and say where."""
    settings, folder = read_settings(params["config"]), settings_path(params["config"]).absolute().parent
    rules = load_rules(params["rules"] or settings.rules)
    seeds = _chosen(seeds_of(settings, folder, rules), params["mailbox"])
    mark = _mark(token, params["message_id"], params["sent"])
    sent = _sent(params["eml"])
    url = params["url"] or settings.history
    _refuse_habit(mark, _of_today(url, folder), settings.seeds.tests_a_day)
    minutes = settings.seeds.minutes if params["minutes"] is None else params["minutes"]
    until = datetime.now(UTC) + timedelta(minutes=minutes)
    auditing = partial(_audited, params=params, settings=settings, rules=rules, sent=sent)
    # Opened first: should that fail, it does before half an hour of waiting.
    with History.open(url, folder=folder) as history:
        rows = asyncio.run(_work(seeds, mark, until, auditing))
        SeedHistory(history).keep(rows)
    say = phrases(lang)
    if style == "json":
        for row in rows:
            show(render.placed_json(row))
    else:
        show(render.placement_text(render.placement_view(rows, rules, say), Paper.of_terminal(**terminal()), say))
    return 3 if any(row.folder is Folder.UNREACHABLE for row in rows) else 0


@click.command("seeds-matrix", cls=Command)
@click.option("--days", type=NumberType(int, 1, 3660), default=DAYS, show_default=True, metavar="N")
@click.option("--format", "style", type=OneOf(["text", "markdown", "json"]), default="text")
@click.option("--history", "url", metavar="URL")
@click.option("-o", "--output", type=PathOf("file"), metavar="FILE")
@config_option
@rule_folders_option
@lang_option
def matrix_command(
    days: int,
    style: str,
    url: str | None,
    output: Path | None,
    config: Path | None,
    rules: tuple[Path, ...],
    lang: str,
) -> int:
    """Hold what deliv said against where the test mails landed."""
    settings, folder = read_settings(config), settings_path(config).absolute().parent
    loaded, say = load_rules(rules or settings.rules), phrases(lang)
    where = url or settings.history
    rows: Sequence[Placed] = ()
    if missing_file(where, folder=folder) is None:
        with History.open(where, folder=folder) as history:
            rows = SeedHistory(history).since(datetime.now(UTC), days)
    found = matrices(rows)
    if style == "json":
        text = render.matrix_json(found, days)
    elif style == "markdown":
        text = render.matrix_markdown(found, days, loaded, say)
    else:
        paper = Paper(80) if output else Paper.of_terminal(**terminal())
        text = render.matrix_text(found, days, loaded, paper, say)
    if output is None:
        show(text)
    else:
        put(text, output)
    return 0


def seeds_of(settings: Settings, folder: Path, rules: RuleSet) -> tuple[Seed, ...]:
    """The test mailboxes of the settings. Raises InputError where there are none, or one lacks what it needs."""
    if not settings.seed:
        raise InputError(NO_SEEDS())
    return tuple(_seed(each, folder, rules) for each in settings.seed)


def _seed(given: SeedSettings, folder: Path, rules: RuleSet) -> Seed:
    receiver = given.receiver or _receiver_of(given.address, rules)
    if given.receiver and given.receiver not in rules.receivers:
        raise InputError(NO_RECEIVER(name=given.name, receiver=given.receiver, known=tuple(sorted(rules.receivers))))
    known = rules.knowledge.seeds.get(receiver)
    host = given.host or (known.host if known is not None else "")
    if not host:
        raise InputError(NO_HOST(name=given.name))
    box = MailboxSettings(
        name=given.name,
        host=host,
        port=given.port,
        security=given.security,
        username=given.username or given.address,
        password_env=given.password_env,
        password_file=given.password_file,
        token_command=given.token_command,
    )
    return Seed(
        given.name,
        receiver,
        given.address,
        host,
        access_to(box, folder),
        given.spam,
        given.authserv or (known.authserv if known is not None else ()),
        known.unnamed if known is not None else False,
        known.fields if known is not None else {},
    )


def _receiver_of(address: str, rules: RuleSet) -> str:
    """The receiver whose own domain that of the address is; empty: none of the rules."""
    domain = address.rpartition("@")[2].lower()
    return next(
        (ident for ident, each in rules.receivers.items() if any(is_within(domain, own) for own in each.domains)), ""
    )


def _chosen(seeds: tuple[Seed, ...], names: tuple[str, ...]) -> tuple[Seed, ...]:
    """The mailboxes of these names; without names all. Raises InputError."""
    known = {each.name: each for each in seeds}
    for name in names:
        if name not in known:
            raise InputError(NO_SEED(name=name, known=tuple(known)))
    return tuple(known[name] for name in dict.fromkeys(names)) or seeds


def _mark(token: str | None, message_id: str | None, sent: str | None) -> Mark:
    """By what the test mail is known. Raises InputError."""
    if not token and not message_id:
        raise InputError(NO_MARK())
    now = datetime.now(UTC)
    at = now
    if sent:
        try:
            at = datetime.fromisoformat(sent).astimezone(UTC)  # without a zone: that of this machine
        except (ValueError, OverflowError):
            raise InputError(NO_TIME(text=sent)) from None
        if at > now + timedelta(minutes=1):
            raise InputError(FUTURE(text=sent))
    return Mark(
        parse_token(token) if token else "", parse_message_id(message_id) if message_id else "", at, told=bool(sent)
    )


def _sent(name: str | None) -> Message | None:
    """The message as it was sent. Raises InputError."""
    return None if name is None else read(sample_of(name).read())


def _of_today(url: str, folder: Path) -> frozenset[str]:
    """The tests of today. Raises HistoryError."""
    if missing_file(url, folder=folder) is not None:
        return frozenset()
    history = History.open(url, folder=folder)
    try:
        return SeedHistory(history).of_day(datetime.now(UTC))
    finally:
        history.close()


def _refuse_habit(mark: Mark, today: frozenset[str], most: int) -> None:
    """Raises InputError where there were enough tests today, and this is one more."""
    if mark.test not in today and len(today) >= most:
        raise InputError(TOO_MANY(n=most))


async def _work(
    seeds: Sequence[Seed],
    mark: Mark,
    until: datetime,
    audited: Callable[[list[Outcome], Mark], Awaitable[list[Placed]]],
) -> list[Placed]:
    say = language().say
    click.echo(say("seeds.waiting", n=say.count("seeds.mailboxes", len(seeds))), err=True)

    def tell(outcome: Outcome) -> None:
        where = say(f"seeds.folder.{outcome.folder.value}")
        click.echo(f"{visible(outcome.seed.name)}{say('punctuation.colon')}{where}", err=True)

    return await audited(await await_mail(seeds, mark, until, SystemClock(), tell=tell), mark)


async def _audited(
    outcomes: list[Outcome],
    mark: Mark,
    *,
    params: dict[str, Any],
    settings: Settings,
    rules: RuleSet,
    sent: Message | None,
) -> list[Placed]:
    ports = ports_of(params, settings)
    try:
        headers = (read(each.sighting.header) for each in outcomes if each.sighting is not None)
        auditing = Auditing(rules, ports, partial(subject_of_settings, settings), sent, next(headers, None))
        return [await placed(each, mark, auditing) for each in outcomes]
    finally:
        await ports.close()
