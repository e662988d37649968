"""Who the sending hosts say they are: reverse DNS and HELO."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Mapping, Sequence

from deliverability.core.codes import Code, Input, needs
from deliverability.core.facts.base import FactType, Reason, Unknown, Value
from deliverability.core.mail.addresses import canonical_ip, to_a_label
from deliverability.core.net.base import Answer, Failed, Found, unknown_from
from deliverability.core.protocols.dmarc.evaluate import discover_homes, relation
from deliverability.core.protocols.psl import registered_domain
from deliverability.engine.base import Context, auditor, dns_id, spec

MAX_NAMES = 10
"""PTR names of one address that are looked up, as in RFC 7208 section 4.6.4."""

PTR_FIRST = Code("ptr-first", ("n", "all"))

PROVIDES = (
    spec("identity.ips", FactType.LIST_RECORD, "Every sending address and its reverse DNS.", key=["ip"]),
    spec("identity.ips[].ip", FactType.STR, "Sending address."),
    spec("identity.ips[].version", FactType.INT, "IP version, 4 or 6."),
    spec("identity.ips[].reverse_name", FactType.STR, "Name at which the PTR record stands."),
    spec("identity.ips[].ptr", FactType.LIST_STR, "Names that its PTR records give."),
    spec("identity.ips[].name", FactType.STR, "The PTR name that leads back to it, else the first one.", optional=True),
    spec(
        "identity.ips[].confirmed",
        FactType.BOOL,
        "A PTR name has an A or AAAA record with this address (forward-confirmed reverse DNS).",
    ),
    spec("identity.ips[].generic", FactType.BOOL, "The name looks made from the address or says static, customer ..."),
    spec("identity.ips[].dynamic", FactType.BOOL, "The name looks like one of a dial-up or home connection."),
    spec(
        "identity.ips[].helo_matches",
        FactType.BOOL,
        "The HELO name leads to this address, or is its confirmed PTR name.",
        optional=True,
    ),
    spec(
        "identity.ips[].aligned",
        FactType.STR,
        "The name against the author domain.",
        optional=True,
        values=["strict", "relaxed", "none"],
    ),
    spec("identity.ips[].evidence", FactType.LIST_STR, "Ids of the evidence for this address."),
    spec(
        "identity.helo_resolves", FactType.BOOL, "The HELO name has an address; none for an address literal.",
        optional=True,
    ),
)  # fmt: skip

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


@auditor("identity", provides=PROVIDES, needs=("envelope.ip", "envelope.helo", "message.from_domain"))
async def audit(ctx: Context) -> None:
    """Ask for the reverse DNS of all sending addresses and for the HELO name at once, then for what PTR names."""
    addresses = _addresses(ctx)
    author = ctx.value("message.from_domain")
    domain = author if isinstance(author, str) else ctx.subject.domain
    literal, name = _helo(ctx.value("envelope.helo"))
    helo, records = await asyncio.gather(
        asyncio.gather(*(ctx.query(name, rdtype) for rdtype in ("A", "AAAA"))) if name else _nothing(),
        asyncio.gather(*(_reverse(ctx, ip, domain) for ip in addresses)),
    )
    helo_ids = [dns_id(name, rdtype) for rdtype in ("A", "AAAA")] if name else []
    stated = ctx.value("envelope.helo")
    ctx.put(
        "identity.helo_resolves",
        _resolves(helo) if name else None if literal or not isinstance(stated, Unknown) else stated,
        *helo_ids,
    )
    if not addresses:
        seen = ctx.value("envelope.ip")
        missing = Unknown(Reason.NOT_CONFIGURED, needs(Input.SENDING_IP))
        given = isinstance(seen, Unknown) and not seen.reason.waits_for_input
        ctx.put("identity.ips", seen if given else missing)
        return
    items = []
    for ip, record in zip(addresses, records, strict=True):
        matches: Value
        if literal:
            matches = literal == ip
        elif name:
            matches = _leads_to(ip, helo, name, record)
        else:
            matches = stated if isinstance(stated, Unknown) else None
        items.append({**record, "helo_matches": matches})
    ids = [ident for item in items for ident in _strings(item["evidence"])]
    ctx.put("identity.ips", tuple(items), *ids)


async def _nothing() -> list[Answer]:
    return []


def _addresses(ctx: Context) -> tuple[str, ...]:
    """The addresses that send: those given, else the one the message came from."""
    seen = ctx.value("envelope.ip")
    candidates = ctx.subject.sending_ips or ((seen,) if isinstance(seen, str) else ())
    return tuple(dict.fromkeys(ip for each in candidates if (ip := canonical_ip(each))))


def _helo(helo: Value) -> tuple[str | None, str | None]:
    """The address of a HELO that is an address literal, or the name that can be looked up."""
    if not isinstance(helo, str):
        return None, None
    if helo.startswith("[") or canonical_ip(helo):
        return canonical_ip(helo), None
    return None, to_a_label(helo)


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


def _leads_to(ip: str, helo: Sequence[Answer], name: str, record: Mapping[str, Value]) -> bool | Unknown:
    if record["confirmed"] is True and record["name"] == name:
        return True
    rdtype = "AAAA" if ":" in ip else "A"
    return _same_address(ip, [answer for answer in helo if answer.rdtype == rdtype])


async def _reverse(ctx: Context, ip: str, author: str) -> dict[str, Value]:
    """The reverse DNS of one address: the PTR names, then their addresses and the organization of the first."""
    address = ipaddress.ip_address(ip)
    reverse = address.reverse_pointer
    answer = await ctx.query(reverse, "PTR")
    evidence = [dns_id(reverse, "PTR")]
    item: dict[str, Value] = {"ip": ip, "version": address.version, "reverse_name": reverse}
    if isinstance(answer, Failed):
        lost = unknown_from(answer)
        fields = ("ptr", "name", "confirmed", "generic", "dynamic", "aligned")
        return item | dict.fromkeys(fields, lost) | {"evidence": tuple(evidence)}
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
    confirmed: Value = any(proof is True for proof in proofs)
    if not confirmed:
        confirmed = next((proof for proof in proofs if isinstance(proof, Unknown)), False)
        if confirmed is False and len(names) > MAX_NAMES:
            confirmed = Unknown(Reason.LIMIT, PTR_FIRST(n=MAX_NAMES, all=len(names)))
    name = names[best] if names else None
    generic, dynamic = looks_generic(name, ip) if name else (False, False)
    return item | {
        "ptr": names,
        "name": name,
        "confirmed": confirmed,
        "generic": generic,
        "dynamic": dynamic,
        "aligned": relation(author, home, name, homes[best] if homes else None),
        "evidence": tuple(evidence),
    }


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


def _strings(value: Value) -> tuple[str, ...]:
    return tuple(str(each) for each in value) if isinstance(value, tuple) else ()
