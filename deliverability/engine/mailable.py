"""Asks DNS which domains take no mail, each once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from deliverability.core.errors import set_aside
from deliverability.core.net.base import Absent, Answer, Found
from deliverability.core.net.ports import Ports
from deliverability.core.protocols.mx import mx_entries

MOST_DOMAINS = 50_000
"""Domains that are asked about in one run."""
_AT_ONCE = 50


async def takes_no_mail(
    domains: Iterable[str], ports: Ports, tick: Callable[[], None] = lambda: None
) -> Mapping[str, bool | None]:
    """Whether DNS says that a domain does not exist or takes no mail (Null MX, RFC 7505); None: it could not be asked.

    Args:
        domains: A-labels; what is beyond the first MOST_DOMAINS is not asked about and is None.
        ports: whom to ask; each domain has the time of one subject.
        tick: called after each domain.

    """
    wanted = list(dict.fromkeys(domains))
    found: dict[str, bool | None] = dict.fromkeys(wanted)
    todo = iter(wanted[:MOST_DOMAINS])

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
