"""`deliv listen`: test mails, received and shown."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from deliverability.console.command import Command
from deliverability.console.inputs import Inputs, in_our_words, port_settings, ports_of, read_settings, subject_given
from deliverability.console.judging import Judging, selection_of, threshold, write_reports
from deliverability.console.language import language
from deliverability.console.options import (
    config_option,
    judging_options,
    mail_options,
    offline_option,
    output_options,
    resolver_option,
    zone_option,
)
from deliverability.console.output import show
from deliverability.console.types import HostPort, NumberType, PathOf, Size, settings_folder
from deliverability.core.codes import ABOUT, Code
from deliverability.core.errors import InputError, file_error
from deliverability.core.files import state_folder
from deliverability.core.inputs import VARIABLE_UNSET, parse_domain
from deliverability.core.net.open import CONTRADICTION, PortSettings
from deliverability.core.phrases import detail_words
from deliverability.core.replies.match import load_replies
from deliverability.core.words.sentences import visible
from deliverability.engine.rules import load_rules, rule_folders, worst_exit_code
from deliverability.listen.faults import Faults
from deliverability.listen.service import CaptureChange, CaptureNews, CaptureService, ProcessWorker, RoomSettings
from deliverability.listen.store import CaptureStore, Reservations

if TYPE_CHECKING:
    from deliverability.console.settings import Settings
    from deliverability.core.model.replies import Meaning
    from deliverability.core.model.rules import RuleSet
    from deliverability.core.rules.judge import Selection
    from deliverability.listen.serve import Listening, ListenSettings, PublicListener

NO_LISTEN = Code("listen-no-extra")
NOT_LOCAL = Code("listen-not-local", ("option", "address"))
PUBLIC_NEEDS = Code("listen-public-needs", ("names",))
TOKEN_SHORT = Code("listen-token-short", ("name", "n"))
ONLY_ONCE = Code("listen-only-once", ("names",))
_TOKEN_CHARACTERS = 20
_PUBLIC = ("hostname", "tls_cert", "tls_key", "token_env")
_ONCE = ("timeout", "expect", "output", "style", "whole", "trace")


@click.command("listen", cls=Command)
@click.argument("domain", metavar="[DOMAIN]", required=False)
@click.option("--smtp", type=HostPort(), default="127.0.0.1:1025", show_default=True, metavar="ADDR:PORT")
@click.option(
    "--web", type=HostPort(none="none"), default="127.0.0.1:8025", show_default=True, metavar="ADDR:PORT|none"
)
@click.option("--dir", "folder", type=PathOf("folder"), metavar="DIR")
@click.option("--keep", type=NumberType(int, 0), default=200, show_default=True, metavar="N")
@click.option("--keep-days", type=NumberType(float, 0), default=30, show_default=True, metavar="N")
@click.option("--max-size", type=Size(), default="50MB", show_default=True, metavar="SIZE")
@click.option("--once", is_flag=True)
@click.option("--expect", type=NumberType(int, 1), metavar="N")
@click.option("--timeout", type=NumberType(float, 0.1), metavar="SECONDS")
@click.option("--public", is_flag=True)
@click.option("--hostname", metavar="NAME")
@click.option("--tls-cert", type=PathOf("file", exists=True), metavar="FILE")
@click.option("--tls-key", type=PathOf("file", exists=True), metavar="FILE")
@click.option("--token-env", metavar="NAME")
@click.option("--fail", "faults", multiple=True, metavar="STAGE=REPLY[:WHEN]")
@click.option("--seed", type=NumberType(int, 0), default=0, show_default=True, metavar="N")
@zone_option
@resolver_option
@offline_option
@click.option("--fetch", is_flag=True)
@config_option
@mail_options
@judging_options
@output_options
def command(domain: str | None, once: bool, **params: Any) -> int:
    """Receive test mails, audit each and show how large it is and what it looks like."""
    settings = read_settings(params["config"])
    if params["faults"] and params["public"]:
        raise InputError(CONTRADICTION(names=(_option("faults"), _option("public"))))
    try:
        where = _where({**params, "once": once})
    except ModuleNotFoundError:
        raise InputError(NO_LISTEN()) from None
    if once:
        return _once(domain, settings, where, params)
    given = [each for each in _ONCE if params[each] not in (None, (), False)]
    if given:
        raise InputError(ONLY_ONCE(names=tuple(_option(each) for each in given)))
    _serve(domain, settings, where, params)
    return 0


def _option(name: str) -> str:
    context = click.get_current_context()
    return next(max(each.opts, key=len) for each in context.command.params if each.name == name)


def _where(params: dict[str, Any]) -> ListenSettings:
    """Where to listen. Raises InputError, and ModuleNotFoundError without the extra."""
    from deliverability.listen.serve import ListenAddress, ListenSettings

    smtp = ListenAddress(*params["smtp"])
    web = ListenAddress(*params["web"]) if params["web"] else None
    if not params["public"]:
        for name, address in (("smtp", smtp), ("web", web)):
            if address is not None and not address.is_local:
                raise InputError(NOT_LOCAL(option=_option(name), address=str(address)))
        return ListenSettings(smtp, web)
    return ListenSettings(smtp, web, _public(params))


def _public(params: dict[str, Any]) -> PublicListener:
    from deliverability.listen.serve import PublicListener

    # Without pages and API nobody could reserve an address.
    needed = _PUBLIC if params["once"] else (*_PUBLIC, "web")
    missing = [each for each in needed if not params[each]]
    if missing:
        raise InputError(PUBLIC_NEEDS(names=tuple(_option(each) for each in missing)))
    token = os.environ.get(params["token_env"], "")
    if not token:
        raise InputError(VARIABLE_UNSET(name=params["token_env"]))
    if len(token) < _TOKEN_CHARACTERS:
        raise InputError(TOKEN_SHORT(name=params["token_env"], n=_TOKEN_CHARACTERS))
    return PublicListener(parse_domain(params["hostname"]), params["tls_cert"], params["tls_key"], token)


def _reservations(where: ListenSettings) -> Reservations:
    return Reservations(where.public.hostname if where.public else "localhost")


def _store(params: dict[str, Any], *, memory: int, default: bool = True) -> CaptureStore:
    """Raises InputError where the folder cannot be used."""
    folder = None
    if params["keep"]:
        folder = params["folder"] or (state_folder() / "mails" if default else None)
    try:
        return CaptureStore(folder, keep=params["keep"] or memory, days=params["keep_days"], memory=memory)
    except OSError as error:
        raise InputError(file_error(folder, error)) from None


def _faults(settings: Settings, where: ListenSettings, params: dict[str, Any]) -> Faults | None:
    """Raises InputError where one cannot be read."""
    if where.public is not None:
        return None
    folders = tuple(params["rules"]) or settings.rules

    def load() -> tuple[Meaning, ...]:
        return load_replies(rule_folders(folders), load_rules(folders)).meanings

    try:
        return Faults(load, params["faults"], params["seed"])
    except InputError as error:
        raise InputError(*(ABOUT(what=_option("faults"), detail=each) for each in error.details)) from None


def _serve(domain: str | None, settings: Settings, where: ListenSettings, params: dict[str, Any]) -> None:
    from deliverability.listen.serve import listen

    store = _store(params, memory=params["max_size"])
    faults = _faults(settings, where, params)

    async def go() -> None:
        service = CaptureService(
            store,
            ProcessWorker(_room_settings(domain, settings, params)),
            language().people,
            _reservations(where),
            params["max_size"],
            faults=faults,
        )
        await listen(service, where, lambda begun: _begun(begun, store), lambda news: _tell(news, store))

    asyncio.run(go())


def _room_settings(domain: str | None, settings: Settings, params: dict[str, Any]) -> Any:
    name = parse_domain(domain) if domain else ""
    folders = tuple(params["rules"]) or settings.rules
    with in_our_words():
        ports = PortSettings(**port_settings({**params, "timeout": None}, settings))
    return RoomSettings(
        subject=subject_given(params, settings, name),
        ports=ports,
        folders=folders,
        judging=partial(prepared, settings, folders, {each: params[each] for each in ("receiver", "select", "ignore")}),
        fail_on=threshold(params["fail_on"] or settings.fail_on),
        history=settings.history,
        home=settings_folder(params["config"]),
    )


def prepared(settings: Settings, folders: tuple[Path, ...], chosen: dict[str, Any]) -> tuple[RuleSet, Selection]:
    """The rules, and which of them count: in the worker, where what they need is loaded anyway."""
    rules = load_rules(folders)
    return rules, selection_of(settings, rules, chosen)


def _begun(begun: Listening, store: CaptureStore) -> None:
    say = language().say
    click.echo(say("cli.listen-mail", address=str(begun.smtp)), err=True)
    if begun.url:
        click.echo(say("cli.listen-web", url=begun.url), err=True)
    if store.folder is not None:
        click.echo(say("cli.listen-kept", folder=str(store.folder)), err=True)


def _tell(news: CaptureNews, store: CaptureStore) -> None:
    """A line for each message that has been audited."""
    capture = store.get(news.id) if news.change is CaptureChange.AUDITED else None
    if capture is None:
        return
    say = language().say
    lines = [detail_words(each, say) for each in capture.problems]
    if capture.summary is not None:
        lines = [capture.summary.leads.get(language().people, "")]
    show(f"{capture.id}  {visible(capture.author)}  {visible(capture.subject)}\n")
    for each in lines:
        show(f"  {each}\n")


def _once(domain: str | None, settings: Settings, where: ListenSettings, params: dict[str, Any]) -> int:
    """Receive, then audit as `deliv audit` does what it is given as files."""
    from deliverability.listen.serve import caught

    judging = Judging.of(params, settings)
    name = parse_domain(domain) if domain else ""
    subject = subject_given(params, settings, name)
    ports = ports_of({**params, "timeout": None}, settings)
    number, seconds = params["expect"] or 1, params["timeout"] or 60.0
    outputs = judging.outputs(number)
    store = _store(params, memory=number * params["max_size"], default=False)
    service = CaptureService(
        store,
        None,
        reservations=_reservations(where),
        max_octets=params["max_size"],
        faults=_faults(settings, where, params),
    )
    # There is no page that would reserve one.
    address = service.reservations.reserve(datetime.now(UTC)) if where.public else None

    def begun(listening: Listening) -> None:
        _begun(listening, store)
        if address:
            click.echo(language().say("cli.listen-address", address=address.address), err=True)

    mails = asyncio.run(caught(service, where, number, seconds, begun))
    if len(mails) < number:
        click.echo(
            language().say("cli.listen-fewer", n=f"{len(mails):,}", of=f"{number:,}", seconds=f"{seconds:g}"), err=True
        )
    if not mails:
        return 3
    inputs = Inputs([replace(subject, sample=each.sample) for each in mails], ports, settings)
    code = write_reports(inputs, judging, outputs)
    return worst_exit_code((code, 3 if len(mails) < number else 0))
