"""A first settings file from what DNS tells of the domains.

The words are in reports/deliv.LANG.toml, a Jinja2 template.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from msgspec import Struct

from deliverability._resources import locate
from deliverability.model.dkim import keys_of
from deliverability.model.facts import FactSet, Purpose
from deliverability.words.sentences import phrases, visible


class Known(Struct, frozen=True):
    """What DNS tells of a domain. `purpose` is a guess and `why` its reason; both empty where nothing suggests one."""

    name: str
    selectors: tuple[str, ...]
    services: tuple[str, ...]
    purpose: str
    why: str


def known(domain: str, facts: FactSet, lang: str) -> Known:
    """What the facts of a domain tell, in the words of a language."""
    purpose, why = _guess(facts)
    say = phrases(lang)
    return Known(
        domain,
        tuple(_selectors(facts, domain)),
        tuple(_services(facts)),
        purpose,
        say(f"init.{why}") if why else "",
    )


def settings_file(domains: Sequence[Known], lang: str, today: date) -> str:
    """The text of a settings file."""
    import jinja2

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - TOML, no HTML
    environment.filters["toml"] = lambda value: json.dumps(value, ensure_ascii=False)
    environment.filters["remark"] = visible
    template = environment.from_string((locate("reports") / f"deliv.{lang}.toml").read_text("utf-8"))
    return template.render(domains=domains, in_three_months=today + timedelta(days=90)) + "\n"


def _guess(facts: FactSet) -> tuple[str, str]:
    """A purpose, and the key of its reason."""
    null_mx, sends_nothing = facts.value("domain.null_mx"), facts.value("spf.sends_nothing")
    if sends_nothing is True:
        return Purpose.PARKED.value, "sends-nothing"
    if null_mx is True:
        return Purpose.TRANSACTIONAL.value, "receives-nothing"
    if isinstance(hosts := facts.value("mx.hosts"), tuple) and hosts:
        return Purpose.USERS.value, "receives"
    return "", ""


def _selectors(facts: FactSet, domain: str) -> list[str]:
    keys = keys_of(facts.value("dkim.keys"))
    return list(dict.fromkeys(key.selector for key in keys if key.present is True and key.domain == domain))


def _services(facts: FactSet) -> list[str]:
    services = facts.value("senders.services")
    names = []
    for service in services if isinstance(services, tuple) else ():
        if isinstance(service, Mapping):
            names.append(str(service.get("name") or service.get("id")))
    return names
