"""What users and programs give, made clean or refused: the subject of an audit, its message, names and addresses.

The command line, the settings, the weekly run and the Python API read their inputs here, so that all of them take the
same spellings.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from deliverability.core.codes import ABOUT, VERBATIM, Code
from deliverability.core.errors import DetailError, InputError, file_error
from deliverability.core.facts.base import KeySeen, PolicySeen, Purpose, SampleSeen, StageSeen, Waiver
from deliverability.core.mail.addresses import to_a_label
from deliverability.core.mail.kinds import domain_of_head
from deliverability.core.mail.received import SmtpEnvelope
from deliverability.core.model.blocklists import ListsWanted
from deliverability.core.model.deliveries import Deliveries
from deliverability.core.model.observed import ListSums, Observed, SourceWord
from deliverability.core.names import is_address

MAX_MESSAGE_OCTETS = 150_000_000
TOO_LARGE = Code("message-too-large", ("name", "n"))
NO_VOLUME = Code("no-volume", ("text",))
NO_DOMAIN = Code("not-a-domain", ("text",))
NO_SELECTOR = Code("no-selector", ("text",))
NO_ADDRESS = Code("no-ip-address", ("text",))
NO_MAIL_FROM = Code("no-mail-from", ("text",))
VARIABLE_UNSET = Code("variable-unset", ("name",))

_SELECTOR = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_URL = re.compile(r"https?://(?:[^/?#@]*@)?([^/?#:]+)(?::[0-9]*)?(?:[/?#].*)?", re.IGNORECASE | re.DOTALL)


def parse_domain(text: str) -> str:
    """A domain as A-label, lower case, without trailing dot: of a name, an address at it, or a web address.

    Raises InputError where it is none that could send mail.
    """
    given = text.strip()
    web = _URL.fullmatch(given)
    name = web[1] if web else given.removeprefix("mailto:").rpartition("@")[2].strip("<>")
    domain = to_a_label(name)
    if domain is None or "." not in domain or is_address(domain):
        raise InputError(NO_DOMAIN(text=text))
    return domain


def is_plain(text: str, domain: str) -> bool:
    """Whether `text`, from which `domain` was read, is just that name and not an address that it was taken out of."""
    return not (_URL.fullmatch(text.strip()) or "@" in text) or text.strip() == domain


def parse_selector(text: str) -> str:
    """A DKIM selector in lower case (RFC 6376 section 3.1). Raises InputError."""
    selector = text.strip().rstrip(".").lower()
    if not _SELECTOR.fullmatch(selector) or "_domainkey" in selector:
        raise InputError(NO_SELECTOR(text=text))
    return selector


def parse_ip(text: str) -> str:
    """An IPv4 or IPv6 address in its usual spelling. Raises InputError."""
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        raise InputError(NO_ADDRESS(text=text)) from None


def parse_mail_from(text: str) -> str:
    """An envelope sender without its brackets; empty for the null reverse-path. Raises InputError."""
    address = text.strip().removeprefix("<").removesuffix(">")
    local, _, domain = address.rpartition("@")
    if address and not (local and domain):
        raise InputError(NO_MAIL_FROM(text=text))
    return address


_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)  # as mailboxes store lines that begin with "From "


class Sample(Struct, frozen=True):
    """A message to audit: its name in the report, and its octets or the file to read them from.

    `span`: where it begins and ends in the file, where that is a mailbox (mbox). `envelope`: what our own SMTP server
    saw of it, where it came that way. `purpose`: what kind of mail it is, where the user says that of this message.
    """

    name: str
    path: Path | None = None
    data: bytes | None = None
    envelope: SmtpEnvelope | None = None
    purpose: Purpose | None = None
    span: tuple[int, int] | None = None

    def __repr__(self) -> str:  # asyncio writes out what a task returns: no octets of a message
        return f"Sample({self.name!r})"

    def read(self) -> bytes:
        """The octets. Raises InputError where the file cannot be read or is too large."""
        if self.data is not None:
            return _not_too_large(self.name, self.data)
        if self.path is None:
            raise ValueError("a sample needs a path or data")
        try:
            with self.path.open("rb") as file:
                if self.span is not None:
                    begin, end = self.span
                    file.seek(begin)
                    quoted = _not_too_large(self.name, file.read(min(end - begin, MAX_MESSAGE_OCTETS + 1)))
                    return _QUOTED_FROM.sub(rb"\1", quoted)
                # Asked for all that it may have, the reader makes room for that, which takes longer than reading.
                size = min(os.fstat(file.fileno()).st_size, MAX_MESSAGE_OCTETS)
                octets = file.read(size + 1)
                if len(octets) > size:  # of a pipe nobody knows the size
                    octets += file.read(MAX_MESSAGE_OCTETS - size)
                return _not_too_large(self.name, octets)
        except OSError as error:
            raise InputError(file_error(self.name, error)) from None


def _not_too_large(name: str, data: bytes) -> bytes:
    if len(data) > MAX_MESSAGE_OCTETS:
        raise InputError(TOO_LARGE(name=name, n=MAX_MESSAGE_OCTETS // 1_000_000))
    return data


class Subject(Struct, frozen=True):
    """What is audited, and what is known of it beside DNS and the message; made clean here.

    It is handed on as it is: from the command line, the settings or a program to the auditors. What a run adds
    (earlier runs, reports, block lists) is added by `replace`. Raises InputError where a selector, an address or the
    volume cannot be one.

    Attributes:
        domain: A-label of the audited domain, as `parse_domain` gives it; empty: the message's own is taken.
        sample: the message that is audited, or None.
        selectors: DKIM selectors to look up besides those of the message.
        sending_ips: addresses that send for the domain.
        mail_from: envelope sender given by option; the empty string is the null reverse-path; None: not given.
        helo: HELO/EHLO name given by option, or None.
        purpose: see Purpose; None: not given. What is said of the sample counts before it.
        daily_volume: messages a day, or None.
        waivers: findings that the user accepts.
        keys_seen: DKIM keys of earlier runs, where a history is kept.
        policies_seen: policies of MTA-STS that earlier runs read, where a history is kept.
        dns_provider: id of the DNS provider where its zone is kept, or None.
        taken_from: the web or mail address that the domain was taken out of; None: it was given by itself.
        observed: what receivers reported about it, where reports are read.
        deliveries: what became of its mail, where bounces, events, logs or numbers of receivers are read.
        source_words: the user's words on sources.
        rare: runs of mail that come seldom, each ``YYYY-MM-DD what``; None: not said, empty: there are none.
        trust_sources: where there is little mail, the gate goes by the sources alone.
        list_sums: what the last check of its list of recipients found; None: no list was checked.
        warm_up: the steps of a warm-up plan, day and messages; empty: there is none.
        stage_seen: the DMARC stage that the newest earlier run saw, and since when, where a history is kept.
        rua_since: ISO date since when they have seen an address for reports.
        gate_to: the DMARC policy that the user wants to go to: quarantine or reject; None: the next one.
        lists_wanted: the block lists to ask; None: none is.
        source_details: what each source sent is told by address, receiver and day.
        samples: the messages of the domain in this run, its own among them; empty: there are not several.

    """

    domain: str = ""
    sample: Sample | None = None
    selectors: tuple[str, ...] = ()
    sending_ips: tuple[str, ...] = ()
    mail_from: str | None = None
    helo: str | None = None
    purpose: Purpose | None = None
    daily_volume: int | None = None
    waivers: tuple[Waiver, ...] = ()
    keys_seen: tuple[KeySeen, ...] = ()
    policies_seen: tuple[PolicySeen, ...] = ()
    dns_provider: str | None = None
    taken_from: str | None = None
    observed: Observed | None = None
    deliveries: Deliveries | None = None
    source_words: tuple[SourceWord, ...] = ()
    rare: tuple[str, ...] | None = None
    trust_sources: bool = False
    list_sums: ListSums | None = None
    warm_up: tuple[tuple[date, int], ...] = ()
    stage_seen: StageSeen | None = None
    rua_since: str | None = None
    gate_to: str | None = None
    lists_wanted: ListsWanted | None = None
    source_details: bool = False
    samples: tuple[SampleSeen, ...] = ()

    def __post_init__(self) -> None:
        """Bring the fields into the one spelling that the audit expects."""
        made = {
            "selectors": tuple(dict.fromkeys(map(parse_selector, self.selectors))),
            "sending_ips": tuple(dict.fromkeys(map(parse_ip, self.sending_ips))),
            "mail_from": None if self.mail_from is None else parse_mail_from(self.mail_from),
            "helo": (self.helo or "").strip() or None,
        }
        for name, value in made.items():
            force_setattr(self, name, value)
        if self.daily_volume is not None and self.daily_volume < 0:
            raise InputError(NO_VOLUME(text=str(self.daily_volume)))

    def __repr__(self) -> str:  # asyncio writes out what a task returns
        return f"Subject({self.name!r})"

    @property
    def name(self) -> str:
        """What it is called where it is told of: its domain, else its message."""
        return self.domain or self.message_name

    @property
    def message_name(self) -> str:
        """How the report names the message; empty: there is none."""
        return self.sample.name if self.sample else ""

    @property
    def envelope(self) -> SmtpEnvelope | None:
        """What our own SMTP server saw of the message; None: it did not come that way."""
        return self.sample.envelope if self.sample else None


class SecretError(DetailError):
    """A password or key that the settings name cannot be read; `detail` says which."""


def secret(variable: str, file: str, folder: Path) -> str:
    """A secret from an environment variable or a file; empty where the settings name neither. Raises SecretError."""
    if variable:
        value = os.environ.get(variable)
        if not value:
            raise SecretError(VARIABLE_UNSET(name=variable))
        return value
    if file:
        try:
            return (folder / file).read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise SecretError(ABOUT(what=VERBATIM(text=file), detail=VERBATIM(text=why))) from None
    return ""


def paired(domains: Sequence[Subject], samples: Sequence[Sample], other: Subject) -> list[Subject]:
    """Pair domains and messages: one report each.

    A single domain takes every message. Among several, a message goes to the domain that its author domain is or
    lies below; one that fits none is audited for its own author domain, as `other` says.
    """
    if not domains:
        return [replace(other, sample=sample) for sample in samples]
    if len(domains) == 1:
        return [replace(domains[0], sample=sample) for sample in samples] or [domains[0]]
    taken: dict[str, list[Sample]] = {each.domain: [] for each in domains}
    strays: list[Sample] = []
    for sample in samples:
        author = domain_of_head(sample.read()) or ""
        fitting = [domain for domain in taken if author == domain or author.endswith(f".{domain}")]
        taken[max(fitting, key=len)].append(sample) if fitting else strays.append(sample)
    paired = [replace(each, sample=sample) for each in domains for sample in (taken[each.domain] or (None,))]
    return paired + [replace(other, sample=sample) for sample in strays]
