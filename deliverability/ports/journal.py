"""What one audit was answered, kept so that a rehearsal sees the same world."""

from __future__ import annotations

from deliverability.model.facts import Reason
from deliverability.ports.base import (
    Answer,
    Fetched,
    HttpFetcher,
    NoMailHost,
    NoPage,
    Probed,
    Resolver,
    SmtpProber,
)
from deliverability.ports.names import canonical

_NOT_ASKED = "not asked in a rehearsal"


class MemoryResolver:
    """A resolver that gives to a question asked again the first answer; new questions go to the base."""

    def __init__(self, base: Resolver) -> None:
        self._base = base
        self._answers: dict[tuple[str, str], Answer] = {}

    async def query(self, name: str, rdtype: str) -> Answer:
        """Answer from memory, else from the base."""
        key = (name, rdtype)
        known = self._answers.get(key)
        if known is not None:
            return known
        key = (canonical(name), rdtype.upper())
        if key not in self._answers:
            answer = await self._base.query(name, rdtype)
            # Two may have waited for the same answer: the first one counts.
            self._answers.setdefault(key, answer)
        return self._answers[key]

    async def close(self) -> None:
        """Close the base."""
        await self._base.close()


class MemoryFetcher:
    """A fetcher that remembers. Once :attr:`closed`, it asks nobody: an address it does not know is not configured."""

    def __init__(self, base: HttpFetcher) -> None:
        self._base = base
        self._pages: dict[str, Fetched] = {}
        self._posts: dict[str, Fetched] = {}
        self.closed = False

    async def fetch(self, url: str, resolver: Resolver, *, redirects: int = 0) -> Fetched:
        """The page as it was seen, else as it is."""
        if url not in self._pages and not self.closed:
            self._pages[url] = await self._base.fetch(url, resolver, redirects=redirects)
        return self._pages.get(url) or NoPage(url, Reason.NOT_CONFIGURED, _NOT_ASKED)

    async def post(self, url: str, form: str, resolver: Resolver) -> Fetched:
        """What was answered to the form, else what is."""
        if url not in self._posts and not self.closed:
            self._posts[url] = await self._base.post(url, form, resolver)
        return self._posts.get(url) or NoPage(url, Reason.NOT_CONFIGURED, _NOT_ASKED)


class MemoryProber:
    """A prober that remembers. Once :attr:`closed`, it connects to nobody: an unknown host is not configured."""

    def __init__(self, base: SmtpProber) -> None:
        self._base = base
        self._hosts: dict[str, Probed] = {}
        self.closed = False

    async def probe(self, host: str, resolver: Resolver) -> Probed:
        """The mail host as it was seen, else as it is."""
        if host not in self._hosts and not self.closed:
            self._hosts[host] = await self._base.probe(host, resolver)
        return self._hosts.get(host) or NoMailHost(host, Reason.NOT_CONFIGURED, _NOT_ASKED)
