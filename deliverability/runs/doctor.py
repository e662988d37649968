"""Whether this machine can audit: one check each for what an audit, the weekly run and the reports need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from deliverability.config import EmailSettings
from deliverability.history.store import History, HistoryError, missing_file
from deliverability.inputs import SecretError, secret
from deliverability.model.codes import ABOUT, VERBATIM, Code
from deliverability.model.doctor import CheckState, MachineCheck
from deliverability.model.knowledge import Outside
from deliverability.notify.mail import SmtpChannel
from deliverability.ports.base import Failed, Found, NoMailHost, NoPage, Page
from deliverability.ports.ports import Ports

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
MAIL_ANSWERED = Code("doctor-mail", ("host", "n", "security"))
MAIL_FAILED = Code("doctor-mail-failed", ("n", "security", "why"))
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
        host = min(answer.values, key=_preference).split()[-1]
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


def _preference(value: str) -> int:
    return int(value.split()[0])


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
            "mail", CheckState.LIMITED, MAIL_FAILED(n=channel.port, security=email.security, why=problem)
        )
    met = MAIL_ANSWERED(host=email.host, n=channel.port, security=email.security)
    return MachineCheck("mail", CheckState.GOOD, met)


def check_history(url: str, folder: Path) -> MachineCheck:
    """Whether the history of the weekly runs can be read; where there is none yet, none is made."""
    try:
        if (file := missing_file(url, folder=folder)) is not None:
            return MachineCheck("history", CheckState.SPARED, NO_HISTORY(file=str(file)))
        history = History.open(url, folder=folder)
        try:
            return MachineCheck("history", CheckState.GOOD, HISTORY_READ(n=len(history.runs())))
        finally:
            history.close()
    except HistoryError as error:
        return MachineCheck("history", CheckState.BAD, VERBATIM(text=str(error)))
