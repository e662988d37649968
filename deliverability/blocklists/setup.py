"""Which block lists a run asks: as an option or the settings name them, with the keys that the environment has."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from deliverability.console.settings import LIST_FILE, KeyPath, ReputationSettings
from deliverability.core.codes import Code, Detail
from deliverability.core.errors import InputError
from deliverability.core.model.blocklists import BlockList, ListKeys, ListsWanted, PrivateList, askable
from deliverability.core.net.servers import Server, parse_server
from deliverability.core.protocols.dnsbl import ListState, load_private_list, not_asked, probe, zone_of

if TYPE_CHECKING:
    from deliverability.core.model.knowledge import Knowledge
    from deliverability.core.net.ports import Ports

ALL = "all"
OF_SETTINGS = "settings"

NO_BLOCKLIST = Code("no-such-blocklist", ("name", "known"))
NO_LIST_IN_SETTINGS = Code("blocklists-not-set")
NO_LIST_KEY = Code("blocklist-key-not-set", ("name", "env"))
BAD_LIST_KEY = Code("blocklist-key-bad", ("name", "env"))
NO_SUCH_KEY = Code("blocklist-no-such-key", ("name", "known"))
NOT_FOR_FLEETS = Code("blocklists-not-for-fleets", ("names",))

_KEY = re.compile(r"[A-Za-z0-9_-]{8,63}")  # one label of a name, and nothing that may stand in names by chance


class ListSetup(Struct, frozen=True):
    """The lists to ask, the keys by name, and the resolver that is asked about lists alone (empty: there is none)."""

    wanted: ListsWanted
    keys: ListKeys = ListKeys()
    server: str = ""


def list_setup(
    names: Sequence[str], settings: ReputationSettings, knowledge: Knowledge, servers: Iterable[Server] = ()
) -> ListSetup:
    """The setup for lists that are named as in an option: ``all``, ``settings``, ids, ``file:PATH``.

    Args:
        names: of the lists.
        settings: where the keys are, and the lists of the settings.
        knowledge: has the catalogue, and whom many share as a resolver.
        servers: that are asked where the settings name none for lists.

    Raises:
        InputError: for a list or a key that there is not, and a file that cannot be read; all of them at once.

    """
    problems: list[Detail] = []
    ids, files = _named(names, settings, knowledge.blocklists, problems)
    keys = _keys(settings, (knowledge.blocklists[each] for each in ids), problems)
    if problems:
        raise InputError(*problems)
    asked = [parse_server(settings.resolver)] if settings.resolver else servers
    public = next((str(each) for each in [*asked][:1] if is_shared(each, knowledge.outside.public_resolvers)), "")
    return ListSetup(ListsWanted(ids, files, frozenset(keys), public), ListKeys(tuple(keys.items())), settings.resolver)


def _named(
    names: Sequence[str], settings: ReputationSettings, known: Mapping[str, BlockList], problems: list[Detail]
) -> tuple[tuple[str, ...], tuple[PrivateList, ...]]:
    wanted: list[str] = []
    for name in names:
        if name == ALL:
            wanted += [each.id for each in askable(known.values())]
        elif name == OF_SETTINGS:
            wanted += settings.lists
            if not settings.lists:
                problems.append(NO_LIST_IN_SETTINGS())
        else:
            wanted.append(name)
    ids: dict[str, None] = {}
    files: dict[str, PrivateList] = {}
    for name in wanted:
        if name in known:
            ids[name] = None
        elif name.startswith(LIST_FILE):
            path = Path(name.removeprefix(LIST_FILE)).expanduser()
            ident = f"{LIST_FILE}{path.name}"
            while ident in files:  # of the same name in another folder
                ident += "+"
            try:
                files[ident] = load_private_list(ident, path)
            except InputError as error:
                problems += error.details
        else:
            problems.append(NO_BLOCKLIST(name=name, known=tuple(known)))
    return tuple(ids), tuple(files.values())


def _keys(settings: ReputationSettings, lists: Iterable[BlockList], problems: list[Detail]) -> dict[str, str]:
    """The keys of these lists that the settings name."""
    keys: dict[str, str] = {}
    for name in dict.fromkeys(each.key for each in lists if each.key in settings.keys):
        env = settings.keys[name].env
        key = os.environ.get(env, "")
        if not key:
            problems.append(NO_LIST_KEY(name=name, env=env))
        elif not _KEY.fullmatch(key):
            problems.append(BAD_LIST_KEY(name=name, env=env))
        else:
            keys[name] = key
    return keys


def is_shared(server: Server, shared: Iterable[str]) -> bool:
    """Whether a resolver is one that many share, by its address or the host of its URL."""
    hosts = (server.host.lower(), server.tls_name.lower())
    for each in shared:
        try:
            network, address = ip_network(each), ip_address(server.host)
        except ValueError:
            if any(host == each or host.endswith(f".{each}") for host in hosts):
                return True
            continue
        if address in network:
            return True
    return False


def list_problems(settings: ReputationSettings, knowledge: Knowledge) -> list[tuple[KeyPath, Detail]]:
    """What the settings name that there is not, with its place."""
    known = knowledge.blocklists
    found: list[tuple[KeyPath, Detail]] = []
    for name in settings.lists:
        if not name.startswith(LIST_FILE):
            if name not in known:
                found.append((("reputation", "lists"), NO_BLOCKLIST(name=name, known=tuple(known))))
            continue
        try:
            load_private_list(name, Path(name.removeprefix(LIST_FILE)))
        except InputError as error:
            found += [(("reputation", "lists"), detail) for detail in error.details]
    keys = tuple(dict.fromkeys(each.key for each in known.values() if each.key))
    for name in settings.keys:
        if name not in keys:
            found.append((("reputation", "keys"), NO_SUCH_KEY(name=name, known=keys)))
    if settings.resolver:
        try:
            parse_server(settings.resolver)
        except InputError as error:
            found.append((("reputation", "resolver"), error.detail))
    return found


def free_lists(setup: ListSetup, known: Mapping[str, BlockList]) -> tuple[str, ...]:
    """Those of the lists that are asked in a zone that is free for small users only: none for a whole fleet."""
    wanted = (known[each] for each in setup.wanted.lists)
    return tuple(each.id for each in wanted if each.dead is None and each.key not in setup.keys.names)


async def states_of(lists: Sequence[BlockList], wanted: ListsWanted, ports: Ports) -> list[ListState]:
    """How each list answers from here: its test entries are asked for, and nobody's address."""
    mine = ports.of_subject()
    resolver = mine.lists or mine.dns
    day = mine.clock.now().date().isoformat()

    async def state(each: BlockList) -> ListState:
        return not_asked(each, wanted.keys, wanted.public_resolver) or await probe(
            each, zone_of(each, wanted.keys), day, resolver.query
        )

    return list(await asyncio.gather(*map(state, lists)))
