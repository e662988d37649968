"""Reads a list of the user's own: addresses, ranges and names, one a line, or JSON objects, one a line.

The lines are those of rbldnsd (ip4set, ip4trie, ip6trie, dnset), of which a plain list is the simplest::

    # a remark, as ; is
    :127.0.0.2:Text for the entries that follow
    192.0.2.1            192.0.2.0/24         192.0.2.1-192.0.2.9      192.0.2       (the octets of a whole range)
    2001:db8::/32 :2:Text of this entry
    example.com          .example.com (with all below it)     *.example.com (all below it)
    !192.0.2.7           an exception

A JSON object has ``ip``, ``cidr``, ``name`` or ``domain``, and may have ``text`` or ``reason``. The file is refused
as a whole where a line cannot be read: an entry that is lost would be a listing that nobody sees.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deliverability.model.blocklists import PrivateEntry, PrivateList
from deliverability.model.codes import Code
from deliverability.model.errors import AT_LINE, FILE_TOO_LARGE, InputError, file_error
from deliverability.model.names import is_address

MAX_FILE_OCTETS = 64_000_000
MAX_ENTRIES = 1_000_000
MAX_LINE = 4096
MAX_LISTED_TEXT = 200
_MAX_PROBLEMS = 20

NOT_AN_ENTRY = Code("blocklist-no-entry", ("text",))
TOO_MANY_ENTRIES = Code("blocklist-too-many", ("n",))

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*{_LABEL}")
_OCTETS = re.compile(r"\d{1,3}(?:\.\d{1,3}){0,2}(?:\.0/\d{1,2})?")
_REPLY = re.compile(r":[^:]*:")  # what rbldnsd answers; the text is behind it


class _Entries:
    """What was read so far."""

    def __init__(self) -> None:
        self.networks: dict[tuple[int, int], dict[int, PrivateEntry]] = {}
        self.names: dict[str, PrivateEntry] = {}
        self.below: dict[str, PrivateEntry] = {}
        self.count = 0

    def add(self, subject: str, entry: PrivateEntry) -> None:
        """Raises ValueError where that is neither an address nor a range nor a name."""
        networks = _networks(subject)
        for each in networks:
            length = each.prefixlen
            table = self.networks.setdefault((each.version, length), {})
            _put(table, int(each.network_address) >> (each.max_prefixlen - length), entry)
            self.count += 1
        if networks:
            return
        wild, name = subject.startswith("*."), subject.removeprefix("*.").lower()
        with_below = name.startswith(".")
        name = _a_labels(name.removeprefix(".").removesuffix("."))
        if not _NAME.fullmatch(name) or name.replace(".", "").isdecimal():
            raise ValueError(subject)
        if not wild:
            _put(self.names, name, entry)
        if wild or with_below:
            _put(self.below, name, entry)
        self.count += 1


def _put(table: dict[Any, PrivateEntry], key: Any, entry: PrivateEntry) -> None:
    """An exception to the very same entry wins, in whichever order they come."""
    if (known := table.get(key)) is None or known.listed:
        table[key] = entry


def _a_labels(name: str) -> str:
    if name.isascii():
        return name
    import idna

    try:
        return idna.encode(name, uts46=True).decode("ascii").lower()
    except idna.IDNAError as error:
        raise ValueError(name) from error


def _networks(subject: str) -> list[_Network]:
    """The ranges that a text stands for; none where it is no address. Raises ValueError for a range that is none."""
    first, dash, last = subject.partition("-")
    if dash and is_address(first):
        if "." in first and "." not in last:  # 192.0.2.1-9
            last = f"{first.rpartition('.')[0]}.{last}"
        ends = ipaddress.ip_address(first), ipaddress.ip_address(last)
        if ends[0].version != ends[1].version:
            raise ValueError(subject)
        return list(ipaddress.summarize_address_range(*ends))  # type: ignore[type-var,unused-ignore]
    if _OCTETS.fullmatch(subject) and "/" not in subject and subject.count(".") < 3:
        octets = subject.split(".")
        return [ipaddress.ip_network(f"{'.'.join([*octets, *['0'] * (4 - len(octets))])}/{8 * len(octets)}")]
    address = subject.partition("/")[0]
    if not is_address(address):
        return []
    network = ipaddress.ip_network(subject, strict=False)
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is not None and network.prefixlen >= 96:
        return [ipaddress.ip_network(f"{mapped}/{network.prefixlen - 96}")]
    return [network]


def read_private_list(ident: str, text: str, file: str) -> PrivateList:
    """The list in a text. Raises InputError with the lines that cannot be read, the first twenty of them."""
    entries, problems = _Entries(), []
    default = ""
    for number, row in _rows(text):
        try:
            if row.startswith("{"):
                entries.add(*_of_json(row))
            elif _is_default(row):
                default = _text(row)
            else:
                listed = not row.startswith("!")
                subject, _, rest = row.lstrip("!").strip().partition(" ")
                entries.add(subject, PrivateEntry(listed, _text(rest.strip()) or default))
        except (ValueError, RecursionError):
            problems.append(AT_LINE(file=file, line=number, detail=NOT_AN_ENTRY(text=row[:60])))
            if len(problems) == _MAX_PROBLEMS:
                break
        if entries.count > MAX_ENTRIES:
            raise InputError(AT_LINE(file=file, line=number, detail=TOO_MANY_ENTRIES(n=MAX_ENTRIES)))
    if problems:
        raise InputError(*problems)
    return PrivateList(ident, entries.networks, entries.names, entries.below)


def load_private_list(ident: str, path: Path) -> PrivateList:
    """The list in a file. Raises InputError where it cannot be read."""
    try:
        if path.stat().st_size > MAX_FILE_OCTETS:
            raise InputError(FILE_TOO_LARGE(file=str(path), n=MAX_FILE_OCTETS // 1_000_000))
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(file_error(path, error)) from None
    return read_private_list(ident, text, str(path))


def _is_default(row: str) -> bool:
    """Whether a line is the reply for those that follow; an address of IPv6 may begin with a colon too."""
    return row.startswith(":") and not is_address(re.split(r"[ /-]", row, maxsplit=1)[0])


def _rows(text: str) -> Iterator[tuple[int, str]]:
    """The lines that say something, with their numbers; those too long to be an entry as they are cut."""
    for number, line in enumerate(text.split("\n"), 1):
        row = " ".join(line[:MAX_LINE].split()) if not line.lstrip().startswith("{") else line.strip()
        if not row or row.startswith(("#", ";", "$")):
            continue
        # A remark may stand behind an entry, but is part of the text of one that has any.
        yield number, row if row.startswith(("{", ":")) else re.sub(r" [#;].*", "", row)


def _text(rest: str) -> str:
    return _REPLY.sub("", rest, count=1).removeprefix(":").strip()[:MAX_LISTED_TEXT]


def _of_json(row: str) -> tuple[str, PrivateEntry]:
    data = json.loads(row[: 16 * MAX_LINE])
    given = [data[key] for key in ("ip", "cidr", "name", "domain") if data.get(key)]
    if len(given) != 1 or not isinstance(given[0], str):
        raise ValueError(row)
    text = data.get("text") or data.get("reason") or ""
    if not isinstance(text, str):
        raise ValueError(row)
    return given[0].strip(), PrivateEntry(data.get("listed", True) is not False, text[:MAX_LISTED_TEXT])
