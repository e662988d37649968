"""Turns the input options and the settings file into jobs and ports."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deliverability.config import DEFAULT_FILE, MailSettings, Settings, load
from deliverability.inputs import parse_domain
from deliverability.model.errors import InputError
from deliverability.model.facts import Purpose
from deliverability.ports.budget import SECONDS
from deliverability.ports.open import PortSettings, SettingError, open_ports
from deliverability.ports.ports import Permissions, Ports
from deliverability.runs.job import Job, Options, Sample, plan

MAX_STDIN_OCTETS = 150_000_001
_OPTIONS = {
    "zones": "--zone",
    "servers": "--resolver",
    "proposals": "--with",
    "offline": "--offline",
    "record": "--record",
    "replay": "--replay",
    "fetch": "--fetch",
    "probe_smtp": "--probe-smtp",
    "one_click": "--probe-unsubscribe",
}


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a run works on."""

    jobs: list[Job]
    ports: Ports
    settings: Settings
    record: Path | None = None
    lost: list[str] = field(default_factory=list)

    @property
    def code(self) -> int:
        """3 where a subject could not be read, else 0."""
        return 3 if self.lost else 0


def read_settings(path: Path | None) -> Settings:
    """The named settings file, else deliv.toml of this folder, else nothing set. Raises ConfigError."""
    if path is None and not Path(DEFAULT_FILE).is_file():
        return Settings()
    return load(path or Path(DEFAULT_FILE))


def read_inputs(params: dict[str, Any]) -> Inputs:
    """Read domains, messages and where answers come from. Raises InputError and ConfigError."""
    settings = read_settings(params["config"])
    names = list(params["domains"])
    messages = list(params["eml"])
    if names.count("-") + messages.count("-") > 1:
        raise InputError("standard input (-) can be read once only")
    if "-" in names:
        place = names.index("-")
        names[place : place + 1] = _names_of(sys.stdin.read(MAX_STDIN_OCTETS))
    elif not names and not messages:
        names = list(settings.names)
    if not names and not messages:
        raise InputError("nothing to audit: give a DOMAIN, a message with --eml FILE, or both")
    options = replace(_options(params, settings.of("")), waivers=settings.waivers)
    domains = []
    for name in dict.fromkeys(parse_domain(name) for name in names):
        domains.append((name, replace(_options(params, settings.of(name)), waivers=settings.waivers)))
    ports = ports_of(params, settings)
    jobs = plan(domains, [_sample(name) for name in messages], options)
    return Inputs(jobs, ports, settings, params["record"])


def ports_of(params: dict[str, Any], settings: Settings) -> Ports:
    """Where answers come from: the options, then the settings file. Raises InputError."""
    return opened(
        zones=params["zone"],
        servers=params["resolver"] or (() if params["zone"] or params["replay"] else settings.resolvers),
        offline=params["offline"],
        replay=params["replay"],
        proposals=params["proposals"],
        record=params["record"] is not None,
        seconds=params["timeout"] or settings.timeout or SECONDS,
        permissions=Permissions(params["fetch"], params["probe_smtp"], params["probe_unsubscribe"]),
    )


def opened(**settings: Any) -> Ports:
    """The ports of those PortSettings. Raises InputError in the words of the command line."""
    try:
        return open_ports(PortSettings(**settings))
    except SettingError as error:
        raise InputError(" and ".join(_OPTIONS[name] for name in error.names) + error.problem) from None


def options_of(settings: Settings, domain: str) -> Options:
    """What the settings file alone says about a domain's mail. Raises InputError."""
    unsaid = ("ip", "mail_from", "helo", "selector", "purpose", "daily_volume")
    return replace(_options(dict.fromkeys(unsaid), settings.of(domain)), waivers=settings.waivers)


def _names_of(text: str) -> list[str]:
    """The names of a list, one or several a line; a wrong one is told with its line. Raises InputError."""
    names = []
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        for name in line.split():
            try:
                names.append(parse_domain(name))
            except InputError as error:
                raise InputError(f"standard input, line {number}: {error}") from None
    return names


def _sample(name: str) -> Sample:
    if name == "-":
        return Sample("-", data=sys.stdin.buffer.read(MAX_STDIN_OCTETS))
    path = Path(name)
    if path.is_dir():
        raise InputError(f"{name} is a folder; give the message file itself")
    if not path.exists():
        raise InputError(f"{name}: no such file")
    return Sample(name, path=path)


def _options(params: dict[str, Any], settings: MailSettings) -> Options:
    mail_from = params["mail_from"] if params["mail_from"] is not None else settings.mail_from
    helo = params["helo"] or settings.helo
    purpose = params["purpose"] or settings.purpose
    volume = params["daily_volume"] if params["daily_volume"] is not None else settings.daily_volume
    return Options(
        selectors=tuple(params["selector"] or settings.selectors),
        sending_ips=tuple(params["ip"] or settings.sending_ips),
        mail_from=mail_from,
        helo=helo,
        purpose=Purpose(purpose) if purpose else None,
        daily_volume=volume,
    )
