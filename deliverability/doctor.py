"""`deliv doctor`: can this machine audit?"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path

import click
from msgspec import Struct

from deliverability.console.command import Command
from deliverability.console.inputs import opened, read_settings
from deliverability.console.options import (
    config_option,
    lang_option,
    resolver_option,
    text_or_json_option,
)
from deliverability.console.output import show, terminal
from deliverability.console.settings import EmailSettings, Settings
from deliverability.console.types import settings_folder
from deliverability.core.codec import encode, json_text
from deliverability.core.codes import ABOUT, VERBATIM, Code, Detail
from deliverability.core.errors import InputError
from deliverability.core.inputs import SecretError, secret
from deliverability.core.model.knowledge import Outside
from deliverability.core.net.base import Failed, Found, NoMailHost, NoPage, Page
from deliverability.core.net.browser import NAMES, browser_here, print_pdf
from deliverability.core.net.ports import Permissions, Ports
from deliverability.core.phrases import Phrases, detail_words, phrases
from deliverability.core.report.wrap import typewritten, wrap
from deliverability.core.store.store import History, HistoryError, missing_file
from deliverability.core.words.sentences import visible
from deliverability.engine.rules import load_rules
from deliverability.weekly.notify.mail import SmtpChannel


class CheckState(StrEnum):
    """How a check ended.

    LIMITED: audits are as good as ever, but something that is asked for apart fails. UNKNOWN: it could not be told.
    SPARED: nothing here needs it.
    """

    GOOD = "good"
    LIMITED = "limited"
    BAD = "bad"
    UNKNOWN = "unknown"
    SPARED = "spared"


class MachineCheck(Struct, frozen=True):
    """One check. Words: ``doctor.name.NAME`` what it is about, ``doctor.do.NAME`` what to do where it is not good.

    Attributes:
        name: for example ``port-25``.
        state: how it ended.
        met: what was tried, and what came of it.

    """

    name: str
    state: CheckState
    met: Detail


SCHEMA = "1.0"
_MARKS = {
    CheckState.GOOD: ("✓", "+"),
    CheckState.LIMITED: ("▲", "!"),
    CheckState.BAD: ("✗", "x"),
    CheckState.UNKNOWN: ("?", "?"),
    CheckState.SPARED: ("–", "-"),
}
_NEEDS_ADVICE = (CheckState.LIMITED, CheckState.BAD, CheckState.UNKNOWN)


def check_text(check: MachineCheck, say: Phrases, *, width: int, unicode: bool) -> str:
    """One check: mark, what was tried and what came of it, and what to do where it is not good."""
    fancy, plain = _MARKS[check.state]
    met = visible(detail_words(check.met, say))
    rows = wrap(f"{say(f'doctor.name.{check.name}')}{say('punctuation.colon')}{met}", width - 2)
    lines = [f"{(fancy if unicode else plain) if number == 0 else ' '} {row}" for number, row in enumerate(rows)]
    if check.state in _NEEDS_ADVICE:
        arrow = "→" if unicode else "->"
        advice = wrap(_advice(check, say), width - 3 - len(arrow))
        lines += [f"  {arrow if number == 0 else ' ' * len(arrow)} {row}" for number, row in enumerate(advice)]
    text = "\n".join(lines) + "\n"
    return text if unicode else typewritten(text)


def checks_json(checks: Sequence[MachineCheck], say: Phrases) -> str:
    """All checks, each as a code with its arguments and in words."""
    shape = {
        "schema_version": SCHEMA,
        "checks": [
            {
                "check": each.name,
                "state": each.state.value,
                "detail": encode(each.met),
                "text": detail_words(each.met, say),
                "advice": _advice(each, say) if each.state in _NEEDS_ADVICE else None,
            }
            for each in checks
        ],
    }
    return json_text(shape, indent=2) + "\n"


def _advice(check: MachineCheck, say: Phrases) -> str:
    """What to do; the marks around what may be copied are for pages only."""
    # A resolver that does not answer invents nothing: what helps is what helps DNS.
    name = "dns" if (check.name, check.state) == ("resolver", CheckState.UNKNOWN) else check.name
    return say(f"doctor.do.{name}")


DNS_ANSWERED = Code("doctor-dns", ("name", "server"))
DNS_DENIED = Code("doctor-dns-denied", ("name", "server"))  # mail servers that are there
TRUTHFUL = Code("doctor-truthful", ("names",))
UNTRUTHFUL = Code("doctor-untruthful", ("name", "addresses", "server"))
PORT_25 = Code("doctor-port-25", ("host", "address"))
NO_PORT_25 = Code("doctor-port-25-refused", ("host", "address"))
NO_MAIL_HOST = Code("doctor-no-mail-host", ("names",))
CLOCK_RIGHT = Code("doctor-clock", ("host", "n"))  # seconds, as with the next two
CLOCK_AHEAD = Code("doctor-clock-ahead", ("host", "n"))
CLOCK_BEHIND = Code("doctor-clock-behind", ("host", "n"))
NO_CLOCK = Code("doctor-no-clock", ("why",))
NO_CLOCK_NAMED = Code("doctor-no-clock-named")
NO_DATE = Code("doctor-no-date", ("url",))
NO_MAIL = Code("doctor-no-mail")
MAIL_ANSWERED = Code("doctor-mail", ("host", "port", "security"))
MAIL_FAILED = Code("doctor-mail-failed", ("port", "security", "why"))
NO_BROWSER = Code("doctor-no-browser", ("names",))
PRINTED = Code("doctor-printed", ("program",))
NO_HISTORY = Code("doctor-no-history", ("file",))
HISTORY_READ = Code("doctor-history", ("n",))


async def examine(
    ports: Ports, outside: Outside, token: str, blocking: Sequence[Callable[[], MachineCheck]]
) -> AsyncIterator[MachineCheck]:
    """All checks at the same time, told in their order.

    Args:
        ports: the outside world; asked are its DNS, the web and port 25.
        outside: whom to ask.
        token: makes names that nobody has, so another one each time.
        blocking: further checks, run in threads.

    """
    tasks = [
        asyncio.create_task(check_dns(ports, outside)),
        asyncio.create_task(check_resolver(ports, outside, token)),
        asyncio.create_task(check_port_25(ports, outside)),
        asyncio.create_task(check_clock(ports, outside)),
        *(asyncio.create_task(asyncio.to_thread(each)) for each in blocking),
    ]
    try:
        for task in tasks:
            yield await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def check_dns(ports: Ports, outside: Outside) -> MachineCheck:
    """Whether DNS answers, asked for what exists: the mail servers of well-known domains."""
    answers = [await ports.dns.query(domain, "MX") for domain in outside.mail_domains]
    for answer in answers:
        if isinstance(answer, Found):
            return MachineCheck("dns", CheckState.GOOD, DNS_ANSWERED(name=answer.name, server=answer.server))
    first = answers[0]
    met = first.question if isinstance(first, Failed) else DNS_DENIED(name=first.name, server=first.server)
    return MachineCheck("dns", CheckState.BAD, met)


async def check_resolver(ports: Ports, outside: Outside, token: str) -> MachineCheck:
    """Whether names that do not exist are said not to: some resolvers lead them to a page of advertisements."""
    names = [f"deliv-{token}.{below}" for below in outside.no_names_below]
    answers = [await ports.dns.query(name, "A") for name in names]
    for answer in answers:
        if isinstance(answer, Found):
            met = UNTRUTHFUL(name=answer.name, addresses=answer.values, server=answer.server)
            return MachineCheck("resolver", CheckState.BAD, met)
    denied = tuple(answer.name for answer in answers if not isinstance(answer, Failed))
    if denied:
        return MachineCheck("resolver", CheckState.GOOD, TRUTHFUL(names=denied))
    return MachineCheck(
        "resolver", CheckState.UNKNOWN, next(each.question for each in answers if isinstance(each, Failed))
    )


async def check_port_25(ports: Ports, outside: Outside) -> MachineCheck:
    """Whether mail servers can be connected to; many networks let nobody do so."""
    problems = []
    for domain in outside.mail_domains:
        answer = await ports.dns.query(domain, "MX")
        if not isinstance(answer, Found):
            continue
        host = min(answer.values, key=lambda value: int(value.split()[0])).split()[-1]
        probed = await ports.smtp.probe(host, ports.dns)
        if isinstance(probed, NoMailHost):
            problems.append(probed.detail)
        elif probed.reachable:
            return MachineCheck("port-25", CheckState.GOOD, PORT_25(host=host, address=probed.address))
        else:
            problems.append(NO_PORT_25(host=host, address=probed.address))
    if problems:
        return MachineCheck("port-25", CheckState.LIMITED, problems[0])
    return MachineCheck("port-25", CheckState.UNKNOWN, NO_MAIL_HOST(names=outside.mail_domains))


async def check_clock(ports: Ports, outside: Outside) -> MachineCheck:
    """Whether the time is that of servers on the web; the nearest counts, for theirs may be wrong as well."""
    met: list[tuple[float, str]] = []
    problems = []
    for url in outside.clocks:
        page = await ports.http.fetch(url, ports.dns)
        ours = ports.clock.now()
        if isinstance(page, NoPage):
            problems.append(ABOUT(what=VERBATIM(text=url), detail=page.detail))
        elif (theirs := _date(page)) is None:
            problems.append(NO_DATE(url=url))
        else:
            met.append(((ours - theirs).total_seconds(), url))
    if not met:
        return MachineCheck("clock", CheckState.UNKNOWN, NO_CLOCK(why=problems[0]) if problems else NO_CLOCK_NAMED())
    off, url = min(met, key=lambda each: abs(each[0]))
    seconds = round(abs(off))
    if seconds <= outside.clock_seconds:
        return MachineCheck("clock", CheckState.GOOD, CLOCK_RIGHT(host=url, n=seconds))
    wrong = CLOCK_AHEAD if off > 0 else CLOCK_BEHIND
    return MachineCheck("clock", CheckState.BAD, wrong(host=url, n=seconds))


def _date(page: Page) -> datetime | None:
    try:
        date = parsedate_to_datetime(page.date)
    except (ValueError, IndexError, TypeError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def check_mail(email: EmailSettings | None, folder: Path) -> MachineCheck:
    """Whether the server of the weekly mail answers. Nothing is sent, and no login tried: failed ones may lock it."""
    if email is None:
        return MachineCheck("mail", CheckState.SPARED, NO_MAIL())
    try:
        channel = SmtpChannel(email, secret(email.password_env, email.password_file, folder))
    except SecretError as error:
        return MachineCheck("mail", CheckState.LIMITED, error.detail)
    if problem := channel.problem():
        return MachineCheck(
            "mail", CheckState.LIMITED, MAIL_FAILED(port=channel.port, security=email.security, why=problem)
        )
    met = MAIL_ANSWERED(host=email.host, port=channel.port, security=email.security)
    return MachineCheck("mail", CheckState.GOOD, met)


def check_history(url: str, folder: Path) -> MachineCheck:
    """Whether the history of the weekly runs can be read; where there is none yet, none is made."""
    try:
        if (file := missing_file(url, folder=folder)) is not None:
            return MachineCheck("history", CheckState.SPARED, NO_HISTORY(file=str(file)))
        with History.open(url, folder=folder) as history:
            return MachineCheck("history", CheckState.GOOD, HISTORY_READ(n=len(history.runs())))
    except HistoryError as error:
        return MachineCheck("history", CheckState.BAD, VERBATIM(text=str(error)))


_PAGE = "<!doctype html><title>deliv</title><p>deliv"
_PRINT_SECONDS = 60.0


@click.command("doctor", cls=Command)
@resolver_option
@config_option
@text_or_json_option
@lang_option
def command(resolver: tuple[str, ...], config: Path | None, style: str, lang: str) -> int:
    """Check whether this machine can audit: DNS, port 25, clock, Chromium, the weekly mail's server, the history."""
    settings = read_settings(config)
    folder = settings_folder(config)
    say = phrases(lang)
    ports = open_doors(resolver or settings.resolvers)
    checks = asyncio.run(_run(ports, settings, folder, say.lang, shown=style == "text"))
    if style == "json":
        show(checks_json(checks, say))
    return 3 if any(each.state is CheckState.BAD for each in checks) else 0


def open_doors(resolvers: tuple[str, ...]) -> Ports:
    """DNS, the web and port 25, live. Raises InputError where a resolver cannot be used."""
    return opened(servers=resolvers, permissions=Permissions(fetch=True, probe_smtp=True))


async def _run(ports: Ports, settings: Settings, folder: Path, lang: str, *, shown: bool) -> list[MachineCheck]:
    """All checks; `shown`: each is printed as soon as it is its turn."""
    outside = load_rules(settings.rules).knowledge.outside
    blocking = (
        check_pdf,
        lambda: check_mail(settings.notify.email, folder),
        lambda: check_history(settings.history, folder),
    )
    looks = terminal()
    checks = []
    try:
        async for check in examine(ports, outside, secrets.token_hex(8), blocking):
            checks.append(check)
            if shown:
                show(check_text(check, phrases(lang), width=looks["width"], unicode=looks["unicode"]))
    finally:
        await ports.close()
    return checks


def check_pdf() -> MachineCheck:
    """Whether a browser is there, and prints a page."""
    browser = browser_here()
    if browser is None:
        return MachineCheck("pdf", CheckState.LIMITED, NO_BROWSER(names=NAMES))
    try:
        print_pdf(browser, _PAGE, Path("report.pdf"), seconds=_PRINT_SECONDS)
    except InputError as error:
        return MachineCheck("pdf", CheckState.LIMITED, error.detail)
    return MachineCheck("pdf", CheckState.GOOD, PRINTED(program=browser))
