"""A test mail as it arrived: what its receiver recorded, and what an audit says of the way that it really took."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.codes import Code, Detail
from deliverability.core.errors import InputError
from deliverability.core.inputs import Sample, Subject, parse_mail_from, parse_selector
from deliverability.core.mail.addresses import parse_addresses, to_a_label
from deliverability.core.mail.hop import delivery
from deliverability.core.mail.reader import Message, read
from deliverability.core.mail.received import parse_authentication_results
from deliverability.core.model.report import Verdict
from deliverability.core.model.rules import RuleSet
from deliverability.core.names import is_within
from deliverability.core.net.clock import stamp
from deliverability.core.net.ports import Ports
from deliverability.core.protocols.dkim.canonical import hash_body
from deliverability.core.protocols.dkim.signature import Signature, parse_signature
from deliverability.core.protocols.psl import known_registrable_domain
from deliverability.core.rules.judge import Selection
from deliverability.engine.audit import report_on
from deliverability.engine.auditors.recorded import read_recorded
from deliverability.seeds.mailbox import Outcome
from deliverability.seeds.values import Folder, Mark, Placed, Seed

_METHODS = ("spf", "dkim", "dmarc")
_WORD = re.compile(r"[A-Za-z0-9.+-]{1,20}")
_SKEW = timedelta(minutes=1)  # by which clocks may differ

NOT_RECORDED = Code("seeds-not-recorded")
BODY_DIFFERS = Code("seeds-body-differs")
NO_BODY = Code("seeds-no-body")
FOLDER_UNSURE = Code("seeds-folder-unsure")


class Auditing(Struct, frozen=True):
    """How arrived mails are audited.

    Attributes:
        rules: by which.
        ports: where answers come from.
        subject_of: a domain with what the settings say about its mail.
        sent: the message as it was sent; None: it was not given.
        elsewhere: its header as it arrived in another mailbox; None: in none.

    """

    rules: RuleSet
    ports: Ports
    subject_of: Callable[[str], Subject]
    sent: Message | None = None
    elsewhere: Message | None = None


async def placed(outcome: Outcome, mark: Mark, auditing: Auditing) -> Placed:
    """All that is told of one mailbox."""
    seed, sighting = outcome.seed, outcome.sighting
    known = Placed(
        mark.test,
        seed.receiver,
        seed.name,
        "",
        stamp(mark.sent),
        stamp(outcome.at),
        outcome.folder,
        remarks=(outcome.detail,) if outcome.detail is not None else (),
    )
    if sighting is None:
        return await _with_verdict(known, seed, auditing) if outcome.folder is Folder.MISSING else known
    message = read(sighting.header)
    auth = recorded_by(seed, message)
    sent = mark.sent if mark.told else _written(message) or mark.sent
    remarks: list[Detail] = [] if auth else [NOT_RECORDED()]
    if sighting.odd:
        remarks.append(FOLDER_UNSURE())
    found = replace(
        known,
        sent=stamp(sent),
        tab=sighting.tab,
        delay_s=_delay(sighting.arrived, sent),
        auth=auth,
        signs=signs_of(seed, message),
        remarks=tuple(remarks),
    )
    return await _with_verdict(found, seed, replace(auditing, elsewhere=message))


async def _with_verdict(found: Placed, seed: Seed, auditing: Auditing) -> Placed:
    """The same with what we say of the message: by how it arrived here, or else in another mailbox, or was sent."""
    message = auditing.elsewhere or auditing.sent
    domain = author_domain(message) if message is not None else ""
    if message is None or not domain:
        return found
    subject, remark = subject_of_arrived(seed, message, auditing, domain)
    verdict = await _verdict(subject, seed.receiver, auditing)
    return replace(
        found,
        domain=domain,
        verdict=verdict.verdict if verdict is not None else None,
        rules=tuple(dict.fromkeys(each.rule for each in verdict.deciding)) if verdict is not None else (),
        remarks=(*found.remarks, *([remark] if remark is not None else [])),
    )


def recorded_by(seed: Seed, message: Message) -> dict[str, str]:
    """What the receiver itself recorded, method -> result: what others wrote may have come with the mail."""
    found = read_recorded(message).results
    return {
        method: found[method].result
        for method in _METHODS
        if method in found
        and found[method].field.lower == "authentication-results"
        and _is_own(seed, parse_authentication_results(found[method].field.value).server)
    }


def _is_own(seed: Seed, server: str) -> bool:
    name = server.rstrip(".").lower()
    if not name:
        return seed.unnamed
    if seed.authserv:
        return any(is_within(name, each.lower()) for each in seed.authserv)
    home = known_registrable_domain(seed.host)
    return home is not None and home == known_registrable_domain(name)


def signs_of(seed: Seed, message: Message) -> dict[str, str]:
    """What the filter of the receiver wrote, name -> value; of several fields the topmost."""
    found: dict[str, str] = {}
    for field, names in seed.fields.items():
        first = message.first(field)
        for name in names if first is not None else ():
            value = re.search(rf"(?:^|[;\s]){re.escape(name)}:([^;\s]*)", first.value) if first is not None else None
            if value is not None and _WORD.fullmatch(value[1]):
                found.setdefault(name, value[1])
    return found


def author_domain(message: Message) -> str:
    """Of the first address in From, as A-label; empty: there is none."""
    field = message.first("From")
    boxes = parse_addresses(field.value) if field is not None else []
    return next((domain for box in boxes if box.domain and (domain := to_a_label(box.domain))), "")


def subject_of_arrived(seed: Seed, message: Message, auditing: Auditing, domain: str) -> tuple[Subject, Detail | None]:
    """What to audit: the arrived header with the body that was sent; without one the domain and the real way.

    The body in the mailbox is not read. One that signatures do not fit is not that of this mail, as when a sending
    service changed its links: DKIM would fail for us alone.
    """
    base = auditing.subject_of(domain)
    came = delivery(message.headers, known_registrable_domain)
    path = message.first("Return-Path")
    body = auditing.sent.body if auditing.sent is not None else None
    if body is not None and _fits(message, body):
        data = message.raw[: message.body_offset].rstrip(b"\r\n") + b"\r\n\r\n" + body
        arrived = replace(
            base,
            sample=Sample(seed.name, data=data),
            # What the header tells of the real way is not to be covered by what the settings expect.
            sending_ips=() if came.ip else base.sending_ips,
            mail_from=None if path is not None else base.mail_from,
            helo=None if came.hop is not None else base.helo,
        )
        return arrived, None
    selectors = [each.selector for each in _signatures(message) if each.selector]
    subject = replace(
        base,
        selectors=(*base.selectors, *filter(_is_selector, selectors)),
        sending_ips=(came.ip,) if came.ip else base.sending_ips,
        mail_from=base.mail_from if path is None else _mail_from(path.value),
        helo=came.hop[1].helo if came.hop is not None else base.helo,
    )
    return subject, NO_BODY() if body is None else BODY_DIFFERS()


def _fits(message: Message, body: bytes) -> bool:
    """Whether some signature was made of that body; without any, its structure is at least that of the header."""
    signatures = [each for each in _signatures(message) if each.hash_name in ("sha1", "sha256") and not each.errors]
    if not signatures:
        return not message.first("DKIM-Signature")
    return any(
        hash_body(body, 0, each.body_canonicalization, each.hash_name, each.body_length).digest == each.body_hash
        for each in signatures
    )


def _signatures(message: Message) -> list[Signature]:
    return [parse_signature(each.value) for each in message.fields("DKIM-Signature")[:10]]


def _mail_from(text: str) -> str | None:
    """The envelope sender of a Return-Path; None where it holds none."""
    try:
        return parse_mail_from(text)
    except InputError:
        return None


def _is_selector(text: str) -> bool:
    try:
        parse_selector(text)
    except InputError:
        return False
    return True


async def _verdict(subject: Subject, receiver: str, auditing: Auditing) -> Verdict | None:
    """Ours for the receiver; None where there is none, or the audit cannot be made."""
    if receiver not in auditing.rules.receivers:
        return None
    try:
        made = await report_on(subject, auditing.ports, auditing.rules, Selection(receivers=(receiver,)))
    except InputError:
        return None
    return next((each for each in made.report.assessment.verdicts if each.receiver == receiver), None)


def _written(message: Message) -> datetime | None:
    """When the sender says that it wrote it."""
    field = message.first("Date")
    with suppress(ValueError, OverflowError, TypeError, LookupError):
        found = parsedate_to_datetime(field.value) if field is not None else None
        return found.astimezone(UTC) if found is not None and found.tzinfo is not None else None
    return None


def _delay(arrived: datetime | None, sent: datetime) -> int | None:
    """Seconds; None where it is not known, or the clocks contradict each other."""
    if arrived is None or arrived < sent - _SKEW:
        return None
    return max(0, round((arrived - sent) / timedelta(seconds=1)))
