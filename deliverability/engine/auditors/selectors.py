"""Which DKIM selectors to ask for, and what DNS answers.

Nobody can list the selectors of a domain, so they are guessed, and most guesses of a long list cost a question for
nothing. So what points to a key is asked for first, and the rest only where that led to none.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field

from deliverability.core.facts.dkim import FoundBy
from deliverability.core.model.services import Include, Service
from deliverability.core.net.base import Absent, Answer, Failed, Found, Resolver
from deliverability.core.protocols.dkim.key import choose_key, looks_like_key
from deliverability.core.senders.recognise import SPF_TERM, Key, by_key, by_mx, by_spf, may_be_keys_of, related
from deliverability.engine.base import Context

MAX_OWN_NAMES = 20
"""Names of the domain's own through which SPF is followed to services; where there are more, every guess is tried."""


class Asked(Struct, frozen=True):
    """A selector whose key was asked for, and the answer."""

    domain: str
    selector: str
    found_by: FoundBy
    answer: Answer

    @property
    def values(self) -> tuple[str, ...]:
        """The records there."""
        return self.answer.values if isinstance(self.answer, Found) else ()

    @property
    def present(self) -> bool:
        """Whether one of them is a key record."""
        return any(looks_like_key(value) for value in self.values)

    @property
    def usable(self) -> bool:
        """Whether receivers can verify with it."""
        key, _ = choose_key(self.values)
        return self.present and key is not None and key.usable


class Keys(Struct, frozen=True):
    """What was asked for and answered.

    Attributes:
        parent: the TXT records of ``_domainkey`` itself.
        stray: those of a selector that nobody publishes: what a wildcard gives.
        asked: the selectors that were named, then the guessed ones, in the order of the rule folders.

    """

    parent: Answer
    stray: Answer
    asked: Sequence[Asked]

    @property
    def guesses(self) -> list[Asked]:
        """The guessed ones."""
        return [each for each in self.asked if each.found_by == "probe"]

    def is_distinct(self, each: Asked) -> bool:
        """Whether there is a key that no wildcard gives.

        What a wildcard gives to everybody says nothing of a guessed name; a name of its own answers differently.
        """
        strays = set(self._strays)
        return each.present and not (strays and strays >= set(each.values))

    @property
    def _strays(self) -> Iterable[str]:
        if not isinstance(self.stray, Failed):
            return self.stray.values if isinstance(self.stray, Found) else ()
        if any(isinstance(each.answer, Absent) for each in self.guesses):
            return ()
        # Whether there is a wildcard could not be asked, and as every guess hits, there may be one.
        return (value for each in self.guesses for value in each.values)


async def ask_keys(ctx: Context, named: Mapping[tuple[str, str], FoundBy]) -> Keys:
    """Ask for the named keys, by domain and selector with how each was found, and for guessed ones of the domain.

    At once: the named ones, those that an earlier run saw, common ones, and one of each service that SPF does not show.
    Then the selectors of the services that SPF, MX and the keys found show. Then all others, unless a key was found, or
    nothing stands below ``_domainkey``, or nobody answers. An audit that is made again with other records guesses as
    before: what it rehearses must not hang on which guesses it makes.
    """
    domain, known, services = ctx.subject.domain, ctx.knowledge.selectors, ctx.knowledge.services
    again = [each for each in known if (name_of(domain, each), "TXT") in ctx.before]
    likely = {each.selector for each in ctx.subject.keys_seen if each.domain == domain}
    likely.update(ctx.knowledge.common_selectors, *(each.dkim.names[:1] for each in services.values() if _hidden(each)))
    asking = _Asking(ctx.ports.dns, domain, dict(named))
    shown: frozenset[str] | None
    parent, stray, shown, _ = await asyncio.gather(
        ctx.ports.dns.query(f"_domainkey.{domain}", "TXT"),
        ctx.ports.dns.query(name_of(domain, _unlikely_selector(domain)), "TXT"),
        _nothing() if again else _services(ctx),
        asking.ask(again or (each for each in known if each in likely)),
    )

    def keys() -> Keys:
        order = {selector: place for place, selector in enumerate(known)}
        asked = [Asked(*key, found_by, asking.answers[key]) for key, found_by in asking.wanted.items()]
        asked.sort(key=lambda each: order[each.selector] if each.found_by == "probe" else -1)
        return Keys(parent, stray, asked)

    if again:
        return keys()
    while True:
        published = [_key(each) for each in keys().asked if each.domain == domain and each.present]
        owners = {each.id for key in published if (each := by_key(key, services)) is not None}
        of_domain = owners.union(shown or (), may_be_keys_of(published, services))
        wanted = {name for each in of_domain for name in services[each].dkim.names}
        if not await asking.ask(each for each in known if each in wanted):
            break
    if _worth_all(keys(), domain, all_shown=shown is not None):
        await asking.ask(known)
    return keys()


def _hidden(service: Service) -> bool:
    """Whether domains that use the service need not name it in SPF."""
    return service.include is Include.NOT_NEEDED or not service.spf


def _worth_all(keys: Keys, domain: str, *, all_shown: bool) -> bool:
    """Whether to ask for the rest: `all_shown` where SPF and MX told all services that they can."""
    ours = [each for each in keys.asked if each.domain == domain]
    answers = [keys.parent, keys.stray, *(each.answer for each in ours)]
    if all(isinstance(answer, Failed) for answer in answers) or all(no_such_name(answer) for answer in answers):
        return False
    return not all_shown or not any(keys.is_distinct(each) for each in ours)


def no_such_name(answer: Answer) -> bool:
    """Whether DNS denies the very name that was asked for."""
    return isinstance(answer, Absent) and answer.nxdomain and not answer.chain


def leads_nowhere(answer: Answer) -> bool:
    """Whether the name is an alias (CNAME) of one that does not exist."""
    return isinstance(answer, Absent) and answer.nxdomain and bool(answer.chain)


def name_of(domain: str, selector: str) -> str:
    """Where the key stands."""
    return f"{selector}._domainkey.{domain}"


def _unlikely_selector(domain: str) -> str:
    """A selector that nobody publishes, the same for a domain in every run, so that a recorded run can be replayed."""
    return "x" + hashlib.sha256(domain.encode("utf-8", "replace")).hexdigest()[:20]


class _Asking(Struct, frozen=True):
    """The keys asked for so far."""

    resolver: Resolver
    domain: str
    wanted: dict[tuple[str, str], FoundBy]
    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)

    async def ask(self, guesses: Iterable[str]) -> bool:
        """Ask for what is wanted, the guesses included; False where all that was asked for before."""
        for selector in guesses:
            self.wanted.setdefault((self.domain, selector), "probe")
        new = [key for key in self.wanted if key not in self.answers]
        found = await asyncio.gather(*(self.resolver.query(name_of(*key), "TXT") for key in new))
        self.answers.update(zip(new, found, strict=True))
        return bool(new)


async def _nothing() -> None:
    return None


def _key(asked: Asked) -> Key:
    chain = asked.answer.chain if isinstance(asked.answer, Found) else ()
    return Key(asked.domain, asked.selector, chain[0] if chain else None)


async def _services(ctx: Context) -> frozenset[str] | None:
    """Ids of the services that SPF and MX show; None where these cannot be asked for.

    The questions are asked aside: in a rehearsal another SPF record is no reason to look for keys anew.
    """
    domain, catalogue = ctx.subject.domain, ctx.knowledge.services
    hosts, mx = await asyncio.gather(_spf_hosts(domain, ctx.aside), ctx.aside.query(domain, "MX"))
    if hosts is None or isinstance(mx, Failed):
        return None
    servers = (value.partition(" ")[2] for value in mx.values) if isinstance(mx, Found) else ()
    found = [*(by_spf(host, catalogue) for host in hosts), *(by_mx(host, catalogue) for host in servers)]
    return frozenset(each.id for each in found if each is not None)


async def _spf_hosts(domain: str, resolver: Resolver) -> set[str] | None:
    """Hosts that the domain's SPF names, also below names of its own, and where these lead by CNAME."""
    hosts: set[str] = set()
    known = [domain]
    begun = 0
    while begun < len(known):
        names, begun = known[begun:], len(known)
        for answer in await asyncio.gather(*(resolver.query(name, "TXT") for name in names)):
            if isinstance(answer, Failed):
                return None
            hosts.update(answer.chain)
            records = answer.values if isinstance(answer, Found) else ()
            for record in records:
                if record[:7].lower().strip() != "v=spf1":
                    continue
                for term in SPF_TERM.finditer(record):
                    host = term["host"].rstrip(".").lower()
                    hosts.add(host)
                    follows = term["mechanism"].lower() in ("include", "redirect")
                    if follows and related(host, domain) and host not in known:
                        known.append(host)
        if len(known) > MAX_OWN_NAMES:
            return None
    return hosts
