"""Received mails whose receiver recorded results: where they are, and how ours compare with what was recorded.

Old mails are judged without DNS, so that only addresses and identities can be compared; `compare` takes results too,
for mails that are audited against the zones of their time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from deliverability.core.mail.reader import Message, read
from deliverability.core.mail.received import (
    client_ip_of,
    is_internal,
    parse_authentication_results,
    parse_received_spf,
)
from deliverability.engine.auditors.recorded import meaning, read_recorded
from tests import TESTS

SAMPLES = TESTS / "mails" / "recorded"

_FOLDERS = ("mails", "dkim", "bounces", "reports")
_BLOCK = re.compile(rb"(?:^[!-9;-~]+[ \t]*:.*\n(?:[ \t].*\n)*)+", re.MULTILINE)
_RECORD = re.compile(rb"^(?:authentication-results|received-spf)\s*:", re.IGNORECASE | re.MULTILINE)


def header_blocks(root: Path) -> Iterator[tuple[str, Message]]:
    """Every header of the corpus with recorded results, also those within mboxes, bounces and reports, with a name."""
    for folder in _FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if not path.is_file() or path.suffix == ".md":
                continue
            blocks = _BLOCK.finditer(path.read_bytes().replace(b"\r\n", b"\n"))
            for number, block in enumerate(each for each in blocks if _RECORD.search(each[0])):
                yield f"{path.relative_to(root)}#{number}", read(block[0] + b"\n")


def topmost_address(message: Message) -> str | None:
    """The address that the topmost record tells, whoever wrote it: what a reader of the header would say first."""
    for field in message.headers:
        ip = None
        if field.lower == "received-spf":
            ip = parse_received_spf(field.value).ip
        elif field.lower == "authentication-results":
            ip = client_ip_of(parse_authentication_results(field.value))
        if ip and not is_internal(ip):
            return ip
    return None


def compare(message: Message, ours: Mapping[str, str]) -> list[str]:
    """What of `ours` contradicts the receiver's record: ip, spf_domain, and results of spf, dkim and dmarc."""
    found = read_recorded(message)
    spf = found.results.get("spf")
    told = {"ip": found.ip, "spf_domain": spf.domain if spf else None}
    wrong = [name for name, value in told.items() if value is not None and ours.get(name, value) != value]
    for method in ("spf", "dkim", "dmarc"):
        if method in found.results and method in ours:
            one, other = meaning(method, found.results[method].result), meaning(method, ours[method])
            if None not in (one, other) and one != other:
                wrong.append(method)
    return wrong
