"""Turns the input options and the settings file into subjects and ports."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.console.ending import error_text, visible
from deliverability.console.language import language
from deliverability.console.settings import Settings, kind_and_place, load
from deliverability.console.types import settings_folder, settings_path
from deliverability.core.codes import Code
from deliverability.core.errors import IS_FOLDER, NO_SUCH_FILE, InputError, file_error, reason_of, set_aside
from deliverability.core.facts.base import Purpose
from deliverability.core.files import default_history
from deliverability.core.inputs import Sample, Subject, is_plain, paired, parse_domain
from deliverability.core.mail.kinds import (
    HEAD_OCTETS,
    MBOX,
    MESSAGE,
    NO_MESSAGES,
    envelope_beside,
    kind_of,
    may_be_notice,
    message_files,
    spans_in,
    why_no_message,
)
from deliverability.core.mail.reader import read
from deliverability.core.model.observed import ListSums
from deliverability.core.net.clock import SECONDS
from deliverability.core.net.open import PortSettings, SettingError, open_ports
from deliverability.core.net.ports import Permissions, Ports
from deliverability.core.net.servers import parse_server, system_servers
from deliverability.core.phrases import detail_words
from deliverability.engine.rules import load_rules
from deliverability.engine.samples import with_samples
from deliverability.features import LIST_SETUP, NOTICE_KIND, OBSERVING, READ_LIST_SUMS, READ_WARM_UP_PLAN, WITH_OBSERVED
from deliverability.features import load as load_entry

if TYPE_CHECKING:
    from datetime import date

    from deliverability.blocklists.setup import ListSetup

T = TypeVar("T")

MAX_STDIN_OCTETS = 150_000_001
STDIN_ONCE = Code("stdin-once")
STDIN_LINE = Code("stdin-line", ("line", "detail"))
NOTHING_TO_AUDIT = Code("nothing-to-audit")
MAIL_FOR_ZONE = Code("mail-for-zone", ("name",))
BOUNCE_FOR_MAIL = Code("bounce-for-mail", ("name",))
COMPLAINT_FOR_MAIL = Code("complaint-for-mail", ("name",))
REPORT_FOR_MAIL = Code("report-for-mail", ("name",))
_OPTIONS = {
    "zones": "--zone",
    "servers": "--resolver",
    "zone_origins": "--origin",
    "proposals": "--with",
    "offline": "--offline",
    "record": "--record",
    "replay": "--replay",
    "fetch": "--fetch",
    "probe_smtp": "--probe-smtp",
    "one_click": "--probe-unsubscribe",
    "list_server": "reputation.resolver",
}


class Inputs(Struct, frozen=True):
    """What a run works on."""

    subjects: list[Subject]
    ports: Ports
    settings: Settings
    record: Path | None = None
    lost: list[str] = field(default_factory=list)

    @property
    def code(self) -> int:
        """3 where a subject could not be read, else 0."""
        return 3 if self.lost else 0

    def set_apart(self, name: str, error: Exception) -> None:
        """One of several subjects cannot be read: it is told, and the others are audited."""
        self.lost.append(set_apart(name, error))


def set_apart(name: str, error: Exception) -> str:
    """Tell that one of several subjects is left out, and why, which is given back."""
    say = language().say
    sentence, _ = error_text(error, say)
    click.echo(say("cli.not-audited", name=visible(name), text=sentence), err=True)
    return sentence


def read_settings(path: Path | None) -> Settings:
    """The named settings file, else the nearest deliv.toml, else nothing set. Raises ConfigError."""
    file = settings_path(path)
    return Settings() if path is None and not file.is_file() else load(file)


def read_inputs(params: dict[str, Any]) -> Inputs:
    """Read domains, messages and where answers come from; with what receivers reported, as far as a history has it.

    A history that cannot be read is told and left out. Raises InputError and ConfigError.
    """
    inputs = _read_inputs(params)
    if not (params.get("history") or inputs.settings.history or default_history().exists()):
        return inputs  # what reads histories takes time to load
    from deliverability.core.store.store import HistoryError

    try:
        return _with_reports(inputs, params, None)
    except HistoryError as error:  # an audit needs no history
        tell_left_out(error)
        return inputs


def _read_inputs(params: dict[str, Any]) -> Inputs:
    settings = read_settings(params["config"])
    names = list(params["domains"])
    messages = list(params["eml"])
    if names.count("-") + sum(kind_and_place(each)[1] == "-" for each in messages) > 1:
        raise InputError(STDIN_ONCE())
    for name in names:
        if name != "-" and _is_mail(Path(name)):
            raise InputError(MAIL_FOR_ZONE(name=name))
    lost: list[str] = []
    if "-" in names:
        place = names.index("-")
        names[place : place + 1] = _names_of(sys.stdin, lost)
    elif not names and not messages:
        names = list(settings.names)
    if not names and not messages:
        raise InputError(NOTHING_TO_AUDIT())
    domains = []
    given: dict[str, str] = {}
    for name in names:
        given.setdefault(parse_domain(name), name)
    for domain, name in given.items():
        own = subject_given(params, settings, domain)
        domains.append(own if is_plain(name, domain) else replace(own, taken_from=_shown(name)))
    lists = lists_of(params, settings, params.get("blocklists") or ())
    ports = ports_of(params, settings, lists)
    subjects = with_samples(paired(domains, _samples_of(messages, lost), subject_given(params, settings)))
    if lists is not None:
        subjects = [replace(each, lists_wanted=lists.wanted) for each in subjects]
    return Inputs(subjects, ports, settings, params["record"], lost)


def lists_of(params: Mapping[str, Any], settings: Settings, names: Sequence[str]) -> ListSetup | None:
    """The blocklists to ask by these names; None where there are none. Raises InputError."""
    if not names:
        return None
    knowledge = load_rules(tuple(params.get("rules") or ()) or settings.rules).knowledge
    local = params["zone"] or params.get("offline") or params.get("replay")
    given = params["resolver"] or settings.resolvers
    servers = () if local else tuple(map(parse_server, given)) if given else system_servers()
    setup: ListSetup = load_entry(LIST_SETUP)(names, settings.reputation, knowledge, servers)
    return setup


def observed_inputs(
    params: dict[str, Any], *, days: int | None = None, to: str | None = None, every: bool = False
) -> Inputs:
    """The same with what receivers reported, from the store; `to`: the DMARC policy that is asked about.

    Raises InputError and ConfigError as `read_inputs` does, HistoryError where the store cannot be read.
    """
    inputs = _with_reports(_read_inputs({**params, "domains": ()} if every else params), params, days)
    return replace(inputs, subjects=[replace(each, gate_to=to) for each in inputs.subjects])


def _with_reports(inputs: Inputs, params: dict[str, Any], days: int | None) -> Inputs:
    folder = settings_folder(params["config"])
    how = load_entry(OBSERVING)(inputs.settings, folder, days, history=params.get("history"))
    observed = load_entry(WITH_OBSERVED)(inputs.subjects, how, inputs.ports.clock.now(), tell_left_out)
    return replace(inputs, subjects=list(observed))


def tell_left_out(error: Exception) -> None:
    """What an audit can do without cannot be read."""
    say = language().say
    click.echo(say("cli.left-out", text=error_text(error, say)[0]), err=True)


def _shown(address: str) -> str:
    """An address without the name and password that it may hold."""
    return re.sub(r"//[^/?#@]*@", "//", address.strip())


def ports_of(params: dict[str, Any], settings: Settings, lists: ListSetup | None = None) -> Ports:
    """Where answers come from: the options, then the settings file; also about blocklists. Raises InputError."""
    return opened(**port_settings(params, settings), **list_ports(lists))


def list_ports(lists: ListSetup | None) -> dict[str, Any]:
    """The PortSettings that blocklists need."""
    return {} if lists is None else {"lists": True, "list_server": lists.server, "list_keys": lists.keys}


def port_settings(params: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The PortSettings of the options that a command has, then of the settings file. Raises InputError."""
    given = params.get
    for zone in params["zone"]:
        if zone.is_file() and _is_mail(zone):
            raise InputError(MAIL_FOR_ZONE(name=str(zone)))
    return {
        "zones": params["zone"],
        "zone_format": given("zone_format") or "",
        "zone_origins": tuple(map(parse_domain, given("origin") or ())),
        "zone_tag": given("zone_tag") or "",
        "other_servers": settings.resolvers,
        "servers": params["resolver"] or (() if params["zone"] or given("replay") else settings.resolvers),
        "offline": given("offline", False),
        "replay": given("replay"),
        "proposals": given("proposals", ()),
        "record": given("record") is not None,
        "seconds": given("timeout") or settings.timeout or SECONDS,
        "permissions": Permissions(*(given(each, False) for each in ("fetch", "probe_smtp", "probe_unsubscribe"))),
    }


def opened(**settings: Any) -> Ports:
    """The ports of those PortSettings. Raises InputError in the words of the command line."""
    with in_our_words():
        ports = open_ports(PortSettings(**settings))
    for remark in ports.remarks:
        say = language().say
        click.echo(say("cli.remark", text=visible(detail_words(remark, say))), err=True)
    return ports


def run_over(ports: Ports, work: Coroutine[Any, Any, T]) -> T:
    """Do one thing over these ports, which are closed after it."""

    async def done() -> T:
        async with ports:
            return await work

    return asyncio.run(done())


@contextmanager
def in_our_words() -> Iterator[None]:
    """Tell of settings that cannot be used in the words of the command line. Raises InputError."""
    try:
        yield
    except SettingError as error:
        raise error.named(_OPTIONS) from None


def _is_mail(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return kind_of(file.read(HEAD_OCTETS)) in (MBOX, MESSAGE)
    except (OSError, ValueError):  # no file of that name; what is wrong with a zone is told where it is read
        return False


def subject_of_settings(settings: Settings, domain: str) -> Subject:
    """A domain with what the settings file alone says about its mail. Raises InputError."""
    unsaid = ("ip", "mail_from", "helo", "selector", "purpose", "daily_volume", "dns_provider")
    return subject_given(dict.fromkeys(unsaid), settings, domain)


def subject_given(params: dict[str, Any], settings: Settings, domain: str = "") -> Subject:
    """A domain with what the options, else the settings file, say about its mail; empty: any. Raises InputError."""
    own = settings.of(domain)
    purpose = params["purpose"] or own.purpose
    return Subject(
        domain,
        selectors=tuple(params["selector"] or own.selectors),
        sending_ips=tuple(params["ip"] or own.sending_ips),
        mail_from=own.mail_from if params["mail_from"] is None else params["mail_from"],
        helo=params["helo"] or own.helo,
        purpose=Purpose(purpose) if purpose else None,
        daily_volume=own.daily_volume if params["daily_volume"] is None else params["daily_volume"],
        waivers=settings.waivers,
        dns_provider=params["dns_provider"] or own.dns_provider,
        rare=own.rare,
        trust_sources=own.trust_sources is True,
        list_sums=_list_sums(own.list_check),
        warm_up=_warm_up(own.warm_up),
    )


def _names_of(lines: Iterable[str], lost: list[str]) -> list[str]:
    """The names of a list, one or several a line; a wrong one is told with its line and goes to `lost`.

    Raises InputError where that leaves none.
    """
    names: list[str] = []
    wrong: list[tuple[str, InputError]] = []
    for number, line in enumerate(lines, 1):
        for name in line.lstrip("\ufeff").split():

            def set_wrong(error: Exception, number: int = number, name: str = name) -> None:
                wrong.append((name, InputError(STDIN_LINE(line=number, detail=reason_of(error)))))

            with set_aside(set_wrong):
                names.append(parse_domain(name))
    if wrong and not names:
        raise wrong[0][1]
    lost += [set_apart(*each) for each in wrong]
    return names


def _samples_of(names: Sequence[str], lost: list[str]) -> list[Sample]:
    """The messages of these names, all of a folder or mailbox; of several, one that is none is told and goes to `lost`.

    Raises InputError where that leaves none, and where there is no such file, which is a slip.
    """
    found: list[Sample] = []
    wrong: list[tuple[str, InputError]] = []
    for name in names:
        for sample in _samples_at(name):
            try:
                found.append(_checked(sample))
            except InputError as error:
                if NO_SUCH_FILE.matches(error.detail):
                    raise
                wrong.append((sample.name, error))
    if wrong and not found:
        raise wrong[0][1]
    lost += [set_apart(*each) for each in wrong]
    return found


def sample_of(name: str) -> Sample:
    """A message by its file, or from standard input; `bulk:FILE` says what kind of mail it is.

    Raises InputError where it is no message, or where there are several.
    """
    return _checked(_sample_at(name))


def _sample_at(name: str) -> Sample:
    kind, name = kind_and_place(name)
    if name == "-":
        return Sample("-", data=sys.stdin.buffer.read(MAX_STDIN_OCTETS), purpose=kind)
    path = Path(name)
    if path.is_dir():
        raise InputError(IS_FOLDER(name=name))
    if not path.exists():
        raise InputError(NO_SUCH_FILE(name=name))
    return Sample(name, path=path, envelope=envelope_beside(path), purpose=kind)


def _samples_at(name: str) -> list[Sample]:
    """The message of that name, or the messages of that folder, Maildir or mailbox file. Raises InputError."""
    kind, place = kind_and_place(name)
    path = Path(place)
    try:
        if place != "-" and path.is_dir():
            files = message_files(path)
            if not files:
                raise InputError(NO_MESSAGES(name=place))
            return [Sample(str(each), each, envelope=envelope_beside(each), purpose=kind) for each in files]
        if place != "-" and path.is_file():
            with path.open("rb") as file:
                is_box = kind_of(file.read(HEAD_OCTETS)) == MBOX
            if is_box:
                spans = enumerate(spans_in(path), 1)
                return [Sample(f"{place} #{n}", path, purpose=kind, span=span) for n, span in spans]
    except OSError as error:
        raise InputError(file_error(place, error)) from None
    return [_sample_at(name)]


def _checked(sample: Sample) -> Sample:
    """The same. Raises InputError where it is no message."""
    if sample.path is None or sample.span is not None:
        _refuse_other(sample.name, sample.read()[:HEAD_OCTETS])
        return sample
    try:
        with sample.path.open("rb") as file:
            _refuse_other(sample.name, file.read(HEAD_OCTETS))
    except OSError as error:
        raise InputError(file_error(sample.name, error)) from None
    return sample


_OTHERS = {"bounce": BOUNCE_FOR_MAIL, "complaint": COMPLAINT_FOR_MAIL, "report": REPORT_FOR_MAIL}
"""What a message is that tells of another one, by its kind, with the command that reads it."""


def _refuse_other(name: str, data: bytes) -> None:
    """Raises InputError where that is no message that somebody sent, with what it is and the way out."""
    wrong = why_no_message(name, data)
    if wrong is None and may_be_notice(message := read(data)):
        kind = load_entry(NOTICE_KIND)(message)
        wrong = _OTHERS[kind](name=name) if kind is not None else None
    if wrong is not None:
        raise InputError(wrong)


def _list_sums(path: str | None) -> ListSums | None:
    """Raises InputError."""
    if path is None:
        return None
    sums: ListSums = load_entry(READ_LIST_SUMS)(Path(path))
    return sums


def _warm_up(path: str | None) -> tuple[tuple[date, int], ...]:
    """Raises InputError."""
    if path is None:
        return ()
    plan: tuple[tuple[date, int], ...] = load_entry(READ_WARM_UP_PLAN)(Path(path))
    return plan
