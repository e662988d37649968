"""All topics: what the facts of the catalogue are read into."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from deliverability.core.facts import (
    content,
    deliveries,
    dkim,
    dmarc,
    domain,
    envelope,
    message,
    senders,
    spf,
    traffic,
    transport,
)
from deliverability.core.facts.base import Value
from deliverability.core.model.topic import Topic, paths_of, stored

_MODULES = (content, deliveries, dkim, dmarc, domain, envelope, message, senders, spf, traffic, transport)


@cache
def fields_by_path() -> Mapping[str, tuple[type[Topic], str]]:
    """The topic and the field of each path."""
    every = (each for module in _MODULES for each in vars(module).values() if isinstance(each, type))
    topics = dict.fromkeys(each for each in every if issubclass(each, Topic) and each is not Topic)
    return {path: (topic, name) for topic in topics for name, path in paths_of(topic).items()}


def typed(path: str, value: Value) -> Value:
    """A stored value in its type; one that no topic has stays as it is. Raises OddFactError."""
    known = fields_by_path().get(path)
    found: Value = value if known is None else stored(*known, value)
    return found
