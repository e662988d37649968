"""MX records (RFC 5321 section 5.1): hosts in the order in which senders try them."""

from __future__ import annotations

import re

from deliverability.core.codes import Code
from deliverability.core.names import is_address
from deliverability.core.net.base import Answer, Found

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
