"""Whom a list of recipients is at: its domains are put to receivers, by name, and by MX those of their customers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deliverability.console.inputs import ports_of, run_over
from deliverability.console.progress import counted
from deliverability.console.settings import Settings
from deliverability.core.codes import Code
from deliverability.core.errors import NO_SUCH_FILE, InputError, set_aside
from deliverability.core.inputs import parse_domain
from deliverability.core.model.deliveries import NOBODY, Audience, Part, Recipients
from deliverability.core.model.rules import Receiver, RuleSet
from deliverability.core.names import is_within
from deliverability.core.net.base import Absent, Answer, Found
from deliverability.core.net.ports import Ports
from deliverability.core.protocols.mx import mx_entries
from deliverability.engine.rules import rule_folders
from deliverability.lists.catalogue import ListData, load_list_data
from deliverability.lists.run import Addresses, SeenAddresses
from deliverability.lists.table import open_list

NO_RECIPIENTS = Code("no-recipients", ("name",))
MOST = 2_000
"""Domains whose MX is looked up in one run, those with the most recipients first."""
_AT_ONCE = 50
_FILE_ENDINGS = (".csv", ".tsv", ".txt", ".tab", ".json", ".xlsx", ".xls")

_ELSEWHERE, _NO_MAIL, _FAILED, _NOT_ASKED = "", "no-mail!", "failed!", "not-asked!"
"""Beside receiver ids, which have no exclamation mark: what became of a domain."""


def recipients_of(given: str, data: ListData) -> Recipients:
    """The recipients of a list, or domains with commas between them. Raises InputError, which names no address."""
    path = Path(given)
    if given.strip() and path.exists():
        return _of_list(path, data)
    if "/" in given or ("," not in given and given.lower().endswith(_FILE_ENDINGS)):
        raise InputError(NO_SUCH_FILE(name=given))
    domains = [parse_domain(each.strip().rpartition("@")[2]) for each in given.split(",") if each.strip()]
    if not domains:
        raise InputError(NO_RECIPIENTS(name=given))
    return Recipients(dict.fromkeys(domains, 1), counted=False)


def _of_list(path: Path, data: ListData) -> Recipients:
    """Each address once; a row of a list of domains counts as often as its column of numbers says."""
    table = open_list(path, data, domains=True)
    addresses = Addresses(data)
    counts: Counter[str] = Counter()
    unreadable, counted = 0, False
    with SeenAddresses() as seen:
        for row in table.rows():
            cell = table.cell(row, table.address)
            if "@" in cell:
                counted = True
                found = None
                with set_aside(lambda error: None):  # counted as unreadable
                    found = addresses.read(cell)
                if found is None:
                    unreadable += 1
                elif not seen.before(found.address):
                    counts[found.domain] += 1
                continue
            name, number = "", 1
            with set_aside(lambda error: None):
                name = parse_domain(cell)
            if table.number is not None:
                counted = True
                text = table.cell(row, table.number).replace(",", "")
                number = int(text) if text.isdecimal() else 0
            if name and number:
                counts[name] += number
            else:
                unreadable += 1
    if not counts:
        raise InputError(NO_RECIPIENTS(name=str(path)))
    return Recipients(counts, counted, unreadable)


async def audience_of(
    recipients: Recipients, receivers: Iterable[Receiver], ports: Ports, tick: Callable[[], None] = lambda: None
) -> Audience:
    """The recipients by receiver; at most MOST domains are looked up, those that no receiver has by name."""
    described = [each for each in receivers if not each.combines]
    own = [(name, each.id) for each in described for name in each.domains]
    hosts = [(suffix, each.id) for each in described for suffix in each.mx_suffixes]
    found = {domain: _within(domain, own) for domain in recipients.counts}
    unknown = sorted(
        (domain for domain, ident in found.items() if not ident), key=lambda each: (-recipients.counts[each], each)
    )
    found |= dict.fromkeys(unknown[MOST:], _NOT_ASKED)
    found |= await _by_mx(unknown[:MOST], hosts, ports, tick)
    parts: dict[str, Part] = {}
    for domain, ident in found.items():
        parts[ident] = parts.get(ident, NOBODY) + Part(recipients.counts[domain], 1)
    ids = [each.id for each in described if each.id in parts]
    return Audience(
        counted=recipients.counted,
        receivers={ident: parts[ident] for ident in sorted(ids, key=lambda each: -parts[each].recipients)},
        elsewhere=parts.get(_ELSEWHERE, NOBODY),
        no_mail=parts.get(_NO_MAIL, NOBODY),
        failed=parts.get(_FAILED, NOBODY),
        not_asked=parts.get(_NOT_ASKED, NOBODY),
        unreadable=recipients.unreadable,
    )


async def _by_mx(
    domains: Sequence[str], hosts: Sequence[tuple[str, str]], ports: Ports, tick: Callable[[], None]
) -> Mapping[str, str]:
    found: dict[str, str] = dict.fromkeys(domains, _FAILED)
    todo = iter(domains)

    async def work() -> None:
        for domain in todo:
            with set_aside(lambda error: None):  # what became of it is then not known
                found[domain] = _at(domain, await ports.of_subject(domain).dns.query(domain, "MX"), hosts)
            tick()

    await asyncio.gather(*(work() for _ in range(min(_AT_ONCE, len(domains)))))
    return found


def _at(domain: str, answer: Answer, hosts: Sequence[tuple[str, str]]) -> str:
    """The receiver to which all most preferred MX hosts belong; without MX records the domain itself is the host."""
    if isinstance(answer, Absent):
        return _NO_MAIL if answer.nxdomain else _within(domain, hosts)
    if not isinstance(answer, Found) or not (entries := mx_entries(answer)):
        return _FAILED
    if entries[0][1] == "." and len(entries) == 1:
        return _NO_MAIL
    first = {_within(host, hosts) for preference, host in entries if preference == entries[0][0]}
    return first.pop() if len(first) == 1 else _ELSEWHERE


def _within(name: str, suffixes: Sequence[tuple[str, str]]) -> str:
    """The receiver with the longest suffix that `name` is or lies below; ELSEWHERE without one."""
    fitting = [(len(suffix), ident) for suffix, ident in suffixes if is_within(name, suffix)]
    return max(fitting, default=(0, _ELSEWHERE))[1]


def audience_given(
    params: Mapping[str, Any], settings: Settings, rules: RuleSet, folders: Sequence[Path]
) -> Audience | None:
    """The recipients of the option or the settings, by receiver; None: neither names any. Raises InputError.

    What is looked up for them stays out of recordings, which others get to see.
    """
    given = settings.to or None if params["to"] is None else params["to"]
    if given is None:
        return None
    recipients = recipients_of(given, load_list_data(rule_folders(folders)))
    ports = ports_of({**params, "record": None}, settings)

    with counted("audience.looked-up") as tick:
        return run_over(ports, audience_of(recipients, rules.receivers.values(), ports, tick))
