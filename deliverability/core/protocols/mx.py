"""MX records (RFC 5321 section 5.1): hosts in the order in which senders try them, and domains that take no mail."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping

from deliverability.core.codes import Code
from deliverability.core.errors import set_aside
from deliverability.core.names import is_address
from deliverability.core.net.base import Absent, Answer, Found
from deliverability.core.net.ports import Ports

MAX_HOSTS = 50
"""MX hosts that are looked up; a domain with more is not set up by hand."""

MX_FIRST = Code("mx-first", ("n", "all"))


def mx_entries(answer: Answer) -> list[tuple[int | None, str]]:
    """Preference and host of each MX record, most preferred first; empty where there is none."""
    if not isinstance(answer, Found):
        return []
    pairs = (value.partition(" ") for value in answer.values)
    entries = [(int(first) if re.fullmatch("[0-9]{1,5}", first) else None, host) for first, _, host in pairs]
    return sorted(entries, key=lambda entry: (entry[0] is None, entry[0] or 0, entry[1]))


def mx_names(answer: Answer) -> tuple[str, ...]:
    """The hosts of the MX records once each, most preferred first, without a null MX (RFC 7505)."""
    return tuple(dict.fromkeys(host for _, host in mx_entries(answer) if host != "."))


def is_literal(host: str) -> bool:
    """Whether an IP address stands where the name of a host belongs."""
    return is_address(host.strip("[]"))


MOST = 50_000
"""Domains that are asked about in one run."""
_AT_ONCE = 50


async def takes_no_mail(
    domains: Iterable[str], ports: Ports, tick: Callable[[], None] = lambda: None
) -> Mapping[str, bool | None]:
    """Whether DNS says that a domain does not exist or takes no mail (Null MX, RFC 7505); None: it could not be asked.

    Args:
        domains: A-labels; what is beyond the first MOST is not asked about and is None.
        ports: whom to ask; each domain has the time of one subject.
        tick: called after each domain.

    """
    wanted = list(dict.fromkeys(domains))
    found: dict[str, bool | None] = dict.fromkeys(wanted)
    todo = iter(wanted[:MOST])

    async def work() -> None:
        for domain in todo:
            with set_aside(lambda error: None):  # what became of it is then not known
                found[domain] = _says(await ports.of_subject(domain).dns.query(domain, "MX"))
            tick()

    await asyncio.gather(*(work() for _ in range(min(_AT_ONCE, len(wanted)))))
    return found


def _says(answer: Answer) -> bool | None:
    if isinstance(answer, Found):
        entries = mx_entries(answer)
        return len(entries) == 1 and entries[0][1] == "."
    return answer.nxdomain if isinstance(answer, Absent) else None
