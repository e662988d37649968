"""How a message came: what our own SMTP server saw of it, and its trace fields, read leniently.

Received, Received-SPF, Authentication-Results, Return-Path: RFC 5321 section 4.4, RFC 7208 section 9.1, RFC 8601.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime
from typing import Any

from msgspec import Struct, ValidationError, convert
from msgspec.structs import asdict

from deliverability.core.mail.addresses import canonical_ip, parse_addresses
from deliverability.core.mail.words import parse_date, printable

OTHER_RECIPIENT = "other-recipient"
GATEWAY = "gateway"
"""Codes of what shows that the mail was passed on after a hop."""


class SmtpEnvelope(Struct, frozen=True):
    """The envelope and the connection of a message that `deliv listen` received.

    Attributes:
        peer: the connecting address.
        helo: HELO or EHLO name; empty where none was said.
        mail_from: the reverse-path without brackets; empty for the null one.
        rcpt: the recipients that were accepted.
        tls: version, for example TLSv1.3; None: it came without TLS.
        public: it came to a listener that others reach, so that the connection is the one that a receiver would see.

    """

    peer: str
    helo: str
    mail_from: str
    rcpt: tuple[str, ...]
    tls: str | None
    public: bool

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "rcpt": list(self.rcpt)}

    @classmethod
    def of(cls, document: Any) -> SmtpEnvelope:
        """The reverse of `document`. Raises ValueError on anything else."""
        try:
            return convert(document, cls)
        except ValidationError as error:
            raise ValueError(f"no envelope: {error}") from None


_MAX_LENGTH = 20_000
_CLAUSES = frozenset({"from", "by", "via", "with", "id", "for"})
_TLS_PROTOCOL = re.compile(r"(?:UTF8)?(?:ESMTP|SMTP|LMTP)SA?", re.IGNORECASE)
_CLEAR_PROTOCOL = re.compile(r"(?:UTF8)?(?:ESMTP|SMTP|LMTP)A?", re.IGNORECASE)
_TLS_COMMENT = re.compile(r"\btls[ _]?v?\d|version=tls|using tls|cipher=|\(tls\)|over tls secured", re.IGNORECASE)
# Systems that write it into this field where the mail came over TLS, by what stands behind `by`; of all others silence
# says nothing: qmail, Yahoo! JAPAN, Google within its own network, gateways and carriers never write it.
_RECORDS_TLS = (
    re.compile(r"\(Postfix\b[^)]{0,40}\)"),  # ESMTPS (RFC 3848), whatever smtpd_tls_received_header says
    re.compile(r"\(Exim(?: 4\.|\))"),
    re.compile(r"\(8\.1[1-9]\.\d{1,2}[^)]{0,40}\)"),  # Sendmail
    re.compile(r"\((?:OpenSMTPD|Haraka)\b"),
    re.compile(r"\bby (?:mx|gmr-mx)\.google\.com\b"),
)
_BRACKETED = re.compile(r"\[(?:IPv6:)?([0-9A-Fa-f:.]{2,45})(?:%\w{1,16})?\]", re.IGNORECASE)
_HELO_COMMENT = re.compile(r"(?:\b(?:helo|ehlo)[= ]\s*)(\S{1,255})", re.IGNORECASE)
_ADDRESS_WORD = re.compile(r"[0-9A-Fa-f:.]{2,45}")
_PAIR = re.compile(r"([A-Za-z][A-Za-z0-9._-]{0,60})\s{0,10}=\s{0,10}(\"(?:[^\"\\]|\\.)*\"|[^\s;\"]+)")
_RESULT = re.compile(r"\s*([A-Za-z][A-Za-z0-9_-]{0,40})(?:\s{0,10}/\s{0,10}\d{1,5})?\s{0,10}=\s{0,10}([A-Za-z]{1,30})")
_INTERNAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::/127",
        "fc00::/7",
        "fe80::/10",
    )
)


class Received(Struct, frozen=True):
    """One hop (RFC 5321 section 4.4). What the field does not tell is None.

    Attributes:
        helo: name the client gave in HELO/EHLO, as written.
        rdns: name the server found for the address, without trailing dot.
        ip: address of the client, in canonical form.
        by: the server.
        protocol: the `with` word.
        tls: True where the field says TLS, False where it names SMTP without it and the system would say so.
        date: when.
        recipient: the address of the `for` clause, without angle brackets.

    """

    helo: str | None
    rdns: str | None
    ip: str | None
    by: str | None
    protocol: str | None
    tls: bool | None
    date: datetime | None
    recipient: str | None = None


class AuthResult(Struct, frozen=True):
    """One method of an Authentication-Results field.

    Attributes:
        method: lower case, for example spf.
        result: lower case, for example pass.
        properties: ``smtp.mailfrom`` and the like, names in lower case.
        comment: all comments, joined.

    """

    method: str
    result: str
    properties: dict[str, str]
    comment: str


class AuthenticationResults(Struct, frozen=True):
    """An Authentication-Results field: who says it, and the results."""

    server: str
    results: tuple[AuthResult, ...]


class ReceivedSpf(Struct, frozen=True):
    """A Received-SPF field: result, its key-value pairs (names in lower case) and the address of the client."""

    result: str
    pairs: dict[str, str]
    ip: str | None


def is_internal(ip: str) -> bool:
    """Whether the address can only be inside somebody's network. Documentation ranges count as public."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address.version == network.version and address in network for network in _INTERNAL)


def parse_received(value: str) -> Received:
    """Read a Received value; any text gives a result."""
    value = printable(value[:_MAX_LENGTH])
    tokens = _tokens(value)
    clauses: dict[str, list[tuple[bool, str]]] = {}
    current: list[tuple[bool, str]] = []
    for is_comment, text in tokens:
        word = text.lower()
        if not is_comment and word in _CLAUSES and word not in clauses:
            current = clauses.setdefault(word, [])
        else:
            current.append((is_comment, text))
    stamp = value.rpartition(";")[2]
    client = clauses.get("from", [])
    words = [text for is_comment, text in client if not is_comment]
    comments = [text for is_comment, text in client if is_comment]
    protocol = next((text for is_comment, text in clauses.get("with", []) if not is_comment), None)
    by = next((text for is_comment, text in clauses.get("by", []) if not is_comment), None)
    helo, rdns = _names(words, comments)
    if rdns is None and "(Exim " in value:  # it writes a name without brackets only where it looked that name up
        rdns = _reverse_name(helo)
    given = next((text for is_comment, text in clauses.get("for", []) if not is_comment), None)
    recipient = given.strip("<>;") if given and "@" in given else None
    ip = _client_ip(words, comments)
    return Received(helo, rdns, ip, by, protocol, _tls(protocol, value), parse_date(stamp), recipient)


def parse_return_path(value: str) -> str | None:
    """The address of a Return-Path; empty for the null reverse-path; None where it cannot be read."""
    text = value[:_MAX_LENGTH].strip()
    if text in ("", "<>", "< >"):
        return ""
    boxes = parse_addresses(text)
    return next((box.address for box in boxes if box.address), None)


def parse_received_spf(value: str) -> ReceivedSpf:
    """Read a Received-SPF value (RFC 7208 section 9.1); the client address may stand in the comment only."""
    tokens = _tokens(printable(value[:_MAX_LENGTH]))
    plain = " ".join(text for is_comment, text in tokens if not is_comment)
    comment = " ".join(text for is_comment, text in tokens if is_comment)
    pairs = _pairs(plain)
    ip = canonical_ip(pairs.get("client-ip", "")) or _ip_in_comment(comment)
    return ReceivedSpf(plain.split()[0].lower() if plain else "", pairs, ip)


def parse_authentication_results(value: str) -> AuthenticationResults:
    """Read an Authentication-Results value (RFC 8601); what does not fit is left out."""
    tokens = _tokens(printable(value[:_MAX_LENGTH]))
    sections: list[tuple[list[str], list[str]]] = [([], [])]
    for is_comment, text in tokens:
        if is_comment:
            sections[-1][1].append(text)
        elif text == ";":
            sections.append(([], []))
        else:
            sections[-1][0].append(text)
    first = " ".join(sections[0][0])
    server = first.split()[0] if first else ""
    results = []
    for words, comments in sections if "=" in server else sections[1:]:
        plain = " ".join(words)
        match = _RESULT.match(plain)
        if match:
            properties = _pairs(plain[match.end() :])
            results.append(AuthResult(match[1].lower(), match[2].lower(), properties, " ".join(comments)))
    return AuthenticationResults("" if "=" in server else server, tuple(results))


def client_ip_of(results: AuthenticationResults) -> str | None:
    """The client address that an Authentication-Results field tells: iprev, a property, or the comment on SPF."""
    for each in results.results:
        for name in ("policy.iprev", "smtp.remote-ip", "smtp.client-ip", "smtp.remote-addr"):
            ip = canonical_ip(each.properties.get(name, ""))
            if ip:
                return ip
    for each in results.results:
        if each.method == "spf":
            ip = _ip_in_comment(each.comment)
            if ip:
                return ip
    return None


def _tokens(value: str) -> list[tuple[bool, str]]:
    """Words, ``;`` and comments (True), with comments nested and quoted strings kept whole."""
    tokens: list[tuple[bool, str]] = []
    start = index = 0
    quoted = False

    def flush(end: int) -> None:
        if end > start:
            tokens.append((False, value[start:end]))

    while index < len(value):
        character = value[index]
        if quoted:
            if character == "\\":
                index += 1
            elif character == '"':
                quoted = False
        elif character == '"':
            quoted = True
        elif character == "(":
            flush(index)
            begin, depth = index + 1, 0
            while index < len(value):
                if value[index] == "\\":
                    index += 1
                elif value[index] == "(":
                    depth += 1
                elif value[index] == ")":
                    depth -= 1
                    if depth == 0:
                        break
                index += 1
            tokens.append((True, value[begin:index]))
            start = index + 1
        elif character.isspace() or character == ";":
            flush(index)
            if character == ";":
                tokens.append((False, ";"))
            start = index + 1
        index += 1
    flush(len(value))
    return tokens


def _pairs(text: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for match in _PAIR.finditer(text):
        value = match[2]
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        pairs.setdefault(match[1].lower(), value)
    return pairs


def _names(words: list[str], comments: list[str]) -> tuple[str | None, str | None]:
    """HELO and reverse name, from the ways Postfix, Sendmail, Exim, qmail, Gmail and Exchange write them."""
    first = words[0] if words and words[0] != ";" else None
    for comment in comments:
        given = _HELO_COMMENT.search(comment)
        if given:  # Exim and qmail put the looked-up name outside and the HELO name inside
            return given[1].rstrip(")"), _reverse_name(first)
    for comment in comments:
        name = comment.split("[", 1)[0].strip()
        if "[" in comment and name and " " not in name:
            return first, _reverse_name(name.rpartition("@")[2])
    return first, None


def _reverse_name(name: str | None) -> str | None:
    if not name or name.lower() == "unknown" or canonical_ip(name) or "." not in name:
        return None
    return name.rstrip(".").lower()


def _client_ip(words: list[str], comments: list[str]) -> str | None:
    """What the server saw (comments) goes before what the client said of itself (the first word, the HELO name)."""
    comments = [_HELO_COMMENT.sub("", comment) for comment in comments]
    for comment in comments:
        for match in _BRACKETED.finditer(comment):
            ip = canonical_ip(match[1])
            if ip:
                return ip
    for comment in comments:
        for word in comment.split():
            ip = canonical_ip(word) if _ADDRESS_WORD.match(word) else None
            if ip:
                return ip
    for word in reversed(words):
        ip = canonical_ip(word) if word[0] == "[" or _ADDRESS_WORD.fullmatch(word) else None
        if ip:
            return ip
    return None


def _tls(protocol: str | None, value: str) -> bool | None:
    if (protocol and _TLS_PROTOCOL.fullmatch(protocol)) or _TLS_COMMENT.search(value):
        return True
    clear = protocol is not None and _CLEAR_PROTOCOL.fullmatch(protocol)
    words = " ".join(value[:5000].split())
    return False if clear and any(each.search(words) for each in _RECORDS_TLS) else None


def _ip_in_comment(comment: str) -> str | None:
    """The client address in ``designates 192.0.2.1 as permitted sender`` and its kin."""
    for word in comment.split():
        ip = canonical_ip(word.rstrip(",;)")) if _ADDRESS_WORD.match(word) else None
        if ip:
            return ip
    return None
