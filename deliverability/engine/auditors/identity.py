"""Who the sending hosts say they are: reverse DNS and HELO."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Sequence

from msgspec.structs import replace

from deliverability.core.codes import Code, Input, needs
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.envelope import Envelope, SendingAddress, SendingHosts
from deliverability.core.facts.message import Message
from deliverability.core.mail.addresses import canonical_ip, to_a_label
from deliverability.core.model.topic import Maybe, cite
from deliverability.core.net.base import Answer, Failed, Found, unknown_from
from deliverability.core.protocols.dmarc.evaluate import discover_homes, is_name, relation
from deliverability.core.protocols.psl import registered_domain
from deliverability.engine.base import Context, auditor, dns_id

MAX_NAMES = 10
"""PTR names of one address that are looked up, as in RFC 7208 section 4.6.4."""

PTR_FIRST = Code("ptr-first", ("n", "all"))

# Words of home and dial-up connections, and words of addresses that nobody named. Compared with whole runs of letters.
_DYNAMIC_WORDS = frozenset(
    (  # noqa: SIM905 (one string, because one word a line would take thirty)
        "dyn dynamic dynip dynamicip dsl adsl vdsl xdsl sdsl pool pools dhcp ppp pppoe dialup dialin dial dip cable "
        "cablemodem broadband catv fttx ftth wimax umts gprs lte mobile residential"
    ).split()
)
_GENERIC_WORDS = frozenset(
    (  # noqa: SIM905
        "static unassigned undefined unused norevdns noptr nordns reverse rdns cust customer customers"
    ).split()
)
# Words of names that somebody chose for sending mail, even where the address follows: mail-oln040092074029.outbound...
_MAIL_WORDS = frozenset(("mail", "mailer", "mailout", "smtp", "mta", "mx", "out", "outbound", "relay", "newsletter"))
# Lines of NTT's access networks carry the number of the customer instead of the address: p1234-ipngn100101tokai...,
# p5678-ipoefx.ipoe, p22-ipbf22-kyoto. Other Japanese providers write the address, in decimal or hexadecimal.
_ACCESS_LINE = re.compile(r"p\d+-ip(?:ngn|bf|oe|ad|fx)")
_WORD = re.compile(r"[a-z]+")
_NUMBER = re.compile(r"\d+")
_NOT_HEX = re.compile(r"[^0-9a-f]")


@auditor("identity", SendingHosts, needs=(Envelope, Message))
async def audit(ctx: Context) -> SendingHosts:
    """Ask for the reverse DNS of all sending addresses and for the HELO name at once, then for what PTR names."""
    envelope = ctx.of(Envelope)
    addresses = _addresses(ctx, envelope)
    author = ctx.of(Message).from_domain
    domain = author if isinstance(author, str) else ctx.subject.domain
    literal, name = _helo(envelope.helo)
    helo, records = await asyncio.gather(
        asyncio.gather(*(ctx.query(name, rdtype) for rdtype in ("A", "AAAA"))) if name else _nothing(),
        asyncio.gather(*(_reverse(ctx, ip, domain) for ip in addresses)),
    )
    stated = envelope.helo if isinstance(envelope.helo, Unknown) else None
    ips: list[SendingAddress] = []
    for ip, record in zip(addresses, records, strict=True):
        matches = literal == ip if literal else _leads_to(ip, helo, name, record) if name else stated
        ips.append(replace(record, helo_matches=matches))
    return SendingHosts(
        ips=tuple(ips) if ips else _no_address(envelope.ip),
        helo_resolves=_resolves(helo) if name else None if literal else stated,
        evidence=cite(
            ips=tuple(ident for each in ips for ident in each.evidence),
            helo_resolves=tuple(dns_id(name, rdtype) for rdtype in ("A", "AAAA")) if name else (),
        ),
    )


def _no_address(seen: Maybe[str]) -> Unknown:
    given = isinstance(seen, Unknown) and not seen.reason.waits_for_input
    return seen if isinstance(seen, Unknown) and given else Unknown(Reason.NOT_CONFIGURED, needs(Input.SENDING_IP))


async def _nothing() -> list[Answer]:
    return []


def _addresses(ctx: Context, envelope: Envelope) -> tuple[str, ...]:
    """The addresses that send: those given, else the one the message came from."""
    seen = envelope.ip
    candidates = ctx.subject.sending_ips or ((seen,) if isinstance(seen, str) else ())
    return tuple(dict.fromkeys(ip for each in candidates if (ip := canonical_ip(each))))


def _helo(helo: Maybe[str]) -> tuple[str | None, str | None]:
    """The address of a HELO that is an address literal, or the name that can be looked up: one with a dot."""
    if not isinstance(helo, str):
        return None, None
    if helo.startswith("[") or canonical_ip(helo):
        return canonical_ip(helo), None
    name = to_a_label(helo)
    return None, name if name and is_name(name) else None


def _resolves(answers: Sequence[Answer]) -> bool | Unknown:
    if any(isinstance(answer, Found) for answer in answers):
        return True
    return next((unknown_from(answer) for answer in answers if isinstance(answer, Failed)), False)


def _same_address(ip: str, answers: Sequence[Answer]) -> bool | Unknown:
    """Whether one of the answers holds the address."""
    wanted = ipaddress.ip_address(ip)
    for answer in answers:
        if isinstance(answer, Found) and any(canonical_ip(value) == str(wanted) for value in answer.values):
            return True
    return next((unknown_from(answer) for answer in answers if isinstance(answer, Failed)), False)


def _leads_to(ip: str, helo: Sequence[Answer], name: str, record: SendingAddress) -> bool | Unknown:
    if record.confirmed is True and record.name == name:
        return True
    rdtype = "AAAA" if ":" in ip else "A"
    return _same_address(ip, [answer for answer in helo if answer.rdtype == rdtype])


async def _reverse(ctx: Context, ip: str, author: str) -> SendingAddress:
    """The reverse DNS of one address: the PTR names, then their addresses and the organization of the first."""
    address = ipaddress.ip_address(ip)
    reverse = address.reverse_pointer
    answer = await ctx.query(reverse, "PTR")
    evidence = [dns_id(reverse, "PTR")]
    if isinstance(answer, Failed):
        known = {"ip": ip, "version": address.version, "reverse_name": reverse, "evidence": tuple(evidence)}
        return SendingAddress.lost(unknown_from(answer), **known, helo_matches=None)
    names = tuple(dict.fromkeys(answer.values)) if isinstance(answer, Found) else ()
    rdtype = "A" if address.version == 4 else "AAAA"
    asked = names[:MAX_NAMES]
    forward, (_, home, homes) = await asyncio.gather(
        asyncio.gather(*(ctx.query(name, rdtype) for name in asked)),
        discover_homes(author, asked, ctx.ports.dns),
    )
    evidence += [dns_id(name, rdtype) for name in asked]
    proofs = [_same_address(ip, [each]) for each in forward]
    best = proofs.index(True) if True in proofs else 0
    confirmed: Maybe[bool] = any(proof is True for proof in proofs)
    if not confirmed:
        confirmed = next((proof for proof in proofs if isinstance(proof, Unknown)), False)
        if confirmed is False and len(names) > MAX_NAMES:
            confirmed = Unknown(Reason.LIMIT, PTR_FIRST(n=MAX_NAMES, all=len(names)))
    name = names[best] if names else None
    generic, dynamic = looks_generic(name, ip) if name else (False, False)
    return SendingAddress(
        ip=ip,
        version=address.version,
        reverse_name=reverse,
        ptr=names,
        name=name,
        confirmed=confirmed,
        generic=generic,
        dynamic=dynamic,
        helo_matches=None,
        aligned=relation(author, home, name, homes[best] if homes else None),
        evidence=tuple(evidence),
    )


def looks_generic(name: str, ip: str) -> tuple[bool, bool]:
    """Whether a host name looks like one that nobody chose, and whether it looks like a dial-up or home connection.

    A rule of thumb: the address, or most of it, stands in the name without a word for mail beside it, or words such
    as static, pool, dhcp do. The registered domain itself is left out: cable.example may well be a company. A suffix
    at which a hosting company names its customers' machines is none: ec2-192-0-2-7.compute.amazonaws.com is a default.
    """
    host = name.lower()
    own = host.removesuffix(registered_domain(host)).rstrip(".")
    words = set(_WORD.findall(own))
    dynamic = not words.isdisjoint(_DYNAMIC_WORDS) or _ACCESS_LINE.match(own) is not None
    numbered = words.isdisjoint(_MAIL_WORDS) and _holds_address(own, ip)
    generic = dynamic or numbered or not words.isdisjoint(_GENERIC_WORDS)
    return generic, dynamic


def _holds_address(own: str, ip: str) -> bool:
    address = ipaddress.ip_address(ip)
    digits = _NOT_HEX.sub("", own)
    if isinstance(address, ipaddress.IPv6Address):
        # 16 hexadecimal digits in a row are a network or an interface identifier; less may be chance.
        whole = address.exploded.replace(":", "")
        forms = (whole[:16], whole[16:])
        return any(form in digits for form in forms if form.strip("0") not in ("", "1"))
    octets = [int(octet) for octet in str(address).split(".")]
    numbers = [int(number) for number in _NUMBER.findall(own) if len(number) <= 3]
    for part in (octets[:3], octets[1:]):
        for wanted in (part, part[::-1]):
            if any(numbers[start : start + 3] == wanted for start in range(len(numbers) - 2)):
                return True
    padded = "".join(f"{octet:03d}" for octet in octets)
    return f"{int(address):08x}" in own or padded in own
