"""Reads what auditors look things up in from the rule folders: senders/, clients/, blocklists/ and single files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeVar

from msgspec.structs import replace

from deliverability.core import yaml as yamlstrict
from deliverability.core.codes import Detail
from deliverability.core.files import locate
from deliverability.core.model.blocklists import TEST_ENTRIES, BlockList
from deliverability.core.model.knowledge import ImprintSigns, Knowledge, Measures, Outside, UnsubscribeWords
from deliverability.core.model.schema import Field
from deliverability.core.model.services import DnsProvider, Reporter, SeedReceiver
from deliverability.core.model.warm_up import WarmUpNumbers
from deliverability.core.senders.recognise import CatalogueError, load_senders
from deliverability.core.yaml import DEFINED, FileLine, read_shape

CLIENTS = "clients"
BLOCKLISTS = "blocklists"
MEASURES = "measures.yaml"
OUTSIDE = "outside.yaml"
DNS_PROVIDERS = "dns-providers.yaml"
REPORTERS = "reporters.yaml"
SEEDS = "seeds.yaml"
MAILBOXES = "mailboxes.yaml"
UNSUBSCRIBE_WORDS = "unsubscribe-words.yaml"
WARM_UP = "warm-up.yaml"
IMPRINT = "imprint/signs.yaml"

_T = TypeVar("_T")
_Features = dict[Literal["layout", "content", "look"], tuple[str, ...]]
_Domain = Annotated[str, Field(pattern=r"([a-z0-9-]{1,63}\.)+[a-z0-9-]{2,63}")]


class _Named(Protocol):
    @property
    def id(self) -> str: ...


_N = TypeVar("_N", bound=_Named)


def load_knowledge(folders: Iterable[Path]) -> Knowledge:
    """What all folders say; a later one replaces entries of the same id, features, and each of the single files whole;
    mailbox domains are added.

    Raises CatalogueError with every problem found.
    """
    folders = tuple(folders)
    problems: list[Detail] = []
    features: dict[str, str] = {}
    providers: dict[str, DnsProvider] = {}
    reporters: dict[str, Reporter] = {}
    seeds: dict[str, SeedReceiver] = {}
    blocklists: dict[str, BlockList] = {}
    measures, outside = Measures(), Outside()
    warm_up: WarmUpNumbers | None = None
    mailboxes: frozenset[str] = frozenset()
    unsubscribe = UnsubscribeWords()
    imprint = ImprintSigns()
    for folder in folders:
        features |= _features(sorted((folder / CLIENTS).glob("*.yaml")), problems)
        blocklists |= _block_lists(sorted((folder / BLOCKLISTS).glob("*.yaml")), problems)
        providers |= _by_id([folder / DNS_PROVIDERS], DnsProvider, problems)
        reporters |= _by_id([folder / REPORTERS], Reporter, problems)
        seeds |= _by_id([folder / SEEDS], SeedReceiver, problems)
        measures = _single(folder / MEASURES, Measures, problems) or measures
        outside = _single(folder / OUTSIDE, Outside, problems) or outside
        warm_up = _single(folder / WARM_UP, WarmUpNumbers, problems) or warm_up
        unsubscribe += _single(folder / UNSUBSCRIBE_WORDS, UnsubscribeWords, problems) or UnsubscribeWords()
        imprint = _single(folder / IMPRINT, ImprintSigns, problems) or imprint
        mailboxes |= frozenset(_single(folder / MAILBOXES, tuple[_Domain, ...], problems) or ())
    try:
        services, common, selectors = load_senders(folders)
    except CatalogueError as error:
        raise CatalogueError(*error.details, *problems) from None
    if problems:
        raise CatalogueError(*problems)
    return Knowledge(
        services,
        common,
        selectors,
        features,
        measures,
        outside,
        providers,
        reporters,
        blocklists,
        warm_up,
        mailboxes,
        unsubscribe,
        imprint,
        seeds,
    )


@cache
def shipped() -> Knowledge:
    """What the shipped rule folder says, read once."""
    return load_knowledge([locate("rules")])


def _single(path: Path, kind: type[_T], problems: list[Detail]) -> _T | None:
    """What a file says that may be there; None where it is not, or cannot be used."""
    document = yamlstrict.read_file(path, problems) if path.is_file() else None
    return None if document is None else read_shape(document, kind, problems)


def _by_id(
    paths: Iterable[Path], kind: type[_N], problems: list[Detail], trouble: Callable[[_N], Detail | None] | None = None
) -> dict[str, _N]:
    """The entries of the files of one folder; no id is there twice. `trouble` says what else is wrong with one."""
    found: dict[str, _N] = {}
    taken: dict[str, FileLine] = {}
    for path in paths:
        document = yamlstrict.read_file(path, problems) if path.is_file() else None
        listed: Any = tuple[kind, ...]  # type: ignore[valid-type]
        entries: tuple[_N, ...] = (read_shape(document, listed, problems) if document else None) or ()
        for index, each in enumerate(entries):
            where = document.at(index) if document else FileLine("", 0)
            if each.id in taken:
                problems.append(where.problem(DEFINED(name=each.id, place=str(taken[each.id]))))
            taken.setdefault(each.id, where)
            found[each.id] = each
            if trouble is not None and (detail := trouble(each)) is not None:
                problems.append(where.problem(detail, each.id))
    return found


def _features(paths: Iterable[Path], problems: list[Detail]) -> dict[str, str]:
    found: dict[str, str] = {}
    taken: dict[str, FileLine] = {}
    for path in paths:
        document = yamlstrict.read_file(path, problems)
        for kind, names in (read_shape(document, _Features, problems) or {}).items() if document else ():
            for index, name in enumerate(names):
                where = document.at(kind, index) if document else FileLine("", 0)
                if name in taken:
                    problems.append(where.problem(DEFINED(name=name, place=str(taken[name]))))
                taken.setdefault(name, where)
                found[name] = kind
    return found


def _block_lists(paths: Iterable[Path], problems: list[Detail]) -> dict[str, BlockList]:
    """With the entries of RFC 5782 section 5 where a list has no others."""
    return {
        ident: replace(
            each,
            test_listed=each.test_listed or TEST_ENTRIES[each.kind][0],
            test_unlisted=each.test_unlisted or TEST_ENTRIES[each.kind][1],
        )
        for ident, each in _by_id(paths, BlockList, problems, BlockList.cannot_be_asked).items()
    }
