"""Names of the DNS and addresses, compared as text: lower case, without a dot at the end."""

from __future__ import annotations

from ipaddress import ip_address


def is_address(text: str) -> bool:
    """Whether it is an IPv4 or IPv6 address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_within(name: str | None, parent: str) -> bool:
    """Whether a name is `parent` or lies below it."""
    return name is not None and (name == parent or name.endswith(f".{parent}"))
