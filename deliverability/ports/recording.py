"""Record every outside answer of a run in one JSON file, and answer a later run from it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from deliverability._files import write_whole
from deliverability.model.facts import Reason
from deliverability.ports.base import (
    Absent,
    Answer,
    Clock,
    Failed,
    Fetched,
    Found,
    HttpFetcher,
    MailHost,
    NoMailHost,
    NoPage,
    Page,
    Probed,
    Resolver,
    SmtpProber,
)
from deliverability.ports.clock import FixedClock
from deliverability.ports.names import canonical

FORMAT = "deliv-recording"
SCHEMA_VERSION = 1
MAX_FILE = 256 * 1024 * 1024  # octets
_Store = dict[tuple[str, str], Answer]
_Pages = dict[str, Fetched]
_Hosts = dict[str, Probed]


class CassetteError(Exception):
    """A recording cannot be written or used. The text is one plain sentence."""


class Recorder:
    """A resolver that keeps every answer it passes on.

    A question asked again gets the recorded answer, so that the run sees exactly what a replay will see. Use
    :attr:`clock` as the run's clock: it stands still at the moment that the recording carries. `sources` says where the
    answers come from, so that the report of a replay says the same.
    """

    def __init__(self, base: Resolver, clock: Clock, sources: Sequence[str] = ()) -> None:
        self._base = base
        self._sources = tuple(sources)
        self._answers: _Store = {}
        self._pages: _Pages = {}
        self._posts: _Pages = {}
        self._hosts: _Hosts = {}
        self._asked: set[str] = set()
        self.clock = FixedClock(clock.now())

    def over(self, base: Resolver) -> Recorder:
        """A recorder over another resolver that writes into the same recording (one resolver a domain, one file)."""
        other = Recorder(base, self.clock, self._sources)
        other._answers = self._answers
        other._pages = self._pages
        other._posts = self._posts
        other._hosts = self._hosts
        other._asked = self._asked
        return other

    def over_web(self, base: HttpFetcher, asked: Literal["http", "http_post"] = "http") -> HttpFetcher:
        """A fetcher that keeps what `base` gets, and what it is answered to a form, in the same recording."""
        self._asked.add(asked)
        return _RecordingFetcher(base, self._pages, self._posts)

    def over_smtp(self, base: SmtpProber) -> SmtpProber:
        """A prober that keeps what `base` sees in the same recording."""
        self._asked.add("smtp")
        return _RecordingProber(base, self._hosts)

    async def query(self, name: str, rdtype: str) -> Answer:
        """Answer from the recording so far, else from the base."""
        key = (canonical(name), rdtype.upper())
        if key not in self._answers:
            answer = await self._base.query(name, rdtype)
            # Two may have waited for the same answer: the first one counts.
            self._answers.setdefault(key, answer)
        return self._answers[key]

    async def close(self) -> None:
        """Close the base. The recording can still be saved."""
        await self._base.close()

    def save(self, path: str | Path) -> None:
        """Write the recording; the same answers give the same bytes.

        Raises:
            CassetteError: the file cannot be written.

        """
        dns: dict[str, dict[str, Any]] = {}
        for (name, rdtype), answer in self._answers.items():
            dns.setdefault(name, {})[rdtype] = _to_json(answer)
        document = {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "now": self.clock.now().isoformat(),
            "sources": list(self._sources),
            "asked": sorted(self._asked),
            "dns": dns,
            "http": {url: _page_to_json(fetched) for url, fetched in self._pages.items()},
            "http_post": {url: _page_to_json(fetched) for url, fetched in self._posts.items()},
            "smtp": {host: _host_to_json(probed) for host, probed in self._hosts.items()},
        }
        text = json.dumps(document, sort_keys=True, indent=1) + "\n"
        try:
            write_whole(Path(path), text)
        except OSError as error:
            raise CassetteError(f"{path}: the recording cannot be written ({error.strerror or error})") from None


class Replayer:
    """A resolver that answers from a recording. A question that is not in it is Failed(offline).

    Attributes:
        sources: where the recorded answers came from; empty where the recording does not say.
        asked: which of ``http``, ``http_post`` and ``smtp`` the run would have asked, whether or not it had a reason.

    """

    def __init__(
        self,
        answers: _Store,
        now: datetime,
        pages: _Pages | None = None,
        sources: Sequence[str] = (),
        hosts: _Hosts | None = None,
        posts: _Pages | None = None,
        asked: Iterable[str] = (),
    ) -> None:
        self._answers = answers
        self.sources = tuple(sources)
        self.clock = FixedClock(now)
        self.fetcher = ReplayingFetcher(pages or {}, posts or {})
        self.prober = ReplayingProber(hosts or {})
        kept = {"http": pages, "http_post": posts, "smtp": hosts}
        self.asked = frozenset([*asked, *(name for name, some in kept.items() if some)])

    @classmethod
    def load(cls, path: str | Path) -> Replayer:
        """Read a recording.

        Raises:
            CassetteError: the file cannot be read, is no recording, or is one of another version.

        """
        try:
            with Path(path).open("rb") as stream:
                data = stream.read(MAX_FILE + 1)
        except OSError as error:
            raise CassetteError(f"{path}: the recording cannot be read ({error.strerror})") from None
        if len(data) > MAX_FILE:
            raise CassetteError(f"{path}: the recording is over {MAX_FILE // 1024 // 1024} MiB")
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            raise CassetteError(f"{path} is not a recording: it is not valid JSON") from None
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise CassetteError(f"{path} is not a recording made with --record")
        version = document.get("schema_version")
        if version != SCHEMA_VERSION:
            raise CassetteError(
                f"{path} is a recording of version {version}; this program reads version {SCHEMA_VERSION}"
            )
        try:
            now = datetime.fromisoformat(document["now"])
            if now.tzinfo is None:
                raise ValueError("now has no time zone")
            answers = {
                (name, rdtype): _from_json(name, rdtype, entry)
                for name, entries in document["dns"].items()
                for rdtype, entry in entries.items()
            }
            sources = [_text(source) for source in document.get("sources", [])]
            asked = [_text(each) for each in document.get("asked", [])]
            pages = {url: _page_from_json(url, entry) for url, entry in document.get("http", {}).items()}
            posts = {url: _page_from_json(url, entry) for url, entry in document.get("http_post", {}).items()}
            hosts = {host: _host_from_json(host, entry) for host, entry in document.get("smtp", {}).items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CassetteError(f"{path} is a damaged recording ({type(error).__name__}: {error})") from None
        return cls(answers, now, pages, sources, hosts, posts, asked)

    async def query(self, name: str, rdtype: str) -> Answer:
        """Answer from the recording."""
        key = (canonical(name), rdtype.upper())
        return self._answers.get(key) or Failed(*key, Reason.OFFLINE, "not in the recording")

    async def close(self) -> None:
        """Nothing to release."""


class _RecordingFetcher:
    """Keeps every answer that another fetcher gets; what is asked for again is the recorded one."""

    def __init__(self, base: HttpFetcher, pages: _Pages, posts: _Pages) -> None:
        self._base = base
        self._pages = pages
        self._posts = posts

    async def fetch(self, url: str, resolver: Resolver, *, redirects: int = 0) -> Fetched:
        """Answer from the recording so far, else from the base."""
        if url not in self._pages:
            fetched = await self._base.fetch(url, resolver, redirects=redirects)
            self._pages.setdefault(url, fetched)
        return self._pages[url]

    async def post(self, url: str, form: str, resolver: Resolver) -> Fetched:
        """Answer from the recording so far, else post through the base."""
        if url not in self._posts:
            fetched = await self._base.post(url, form, resolver)
            self._posts.setdefault(url, fetched)
        return self._posts[url]


class ReplayingFetcher:
    """Answers from a recording. A file that is not in it is NoPage(offline).

    Attributes:
        pages: what was recorded, by URL.
        posts: what was answered to forms, by URL.

    """

    def __init__(self, pages: _Pages, posts: _Pages) -> None:
        self.pages = pages
        self.posts = posts

    async def fetch(self, url: str, resolver: Resolver, *, redirects: int = 0) -> Fetched:
        """Answer from the recording."""
        return self.pages.get(url) or NoPage(url, Reason.OFFLINE, "not in the recording")

    async def post(self, url: str, form: str, resolver: Resolver) -> Fetched:
        """Answer from the recording; nothing is sent."""
        return self.posts.get(url) or NoPage(url, Reason.OFFLINE, "not in the recording")


class _RecordingProber:
    """Keeps what another prober sees; a host asked for again is the recorded one."""

    def __init__(self, base: SmtpProber, hosts: _Hosts) -> None:
        self._base = base
        self._hosts = hosts

    async def probe(self, host: str, resolver: Resolver) -> Probed:
        """Answer from the recording so far, else from the base."""
        if host not in self._hosts:
            probed = await self._base.probe(host, resolver)
            self._hosts.setdefault(host, probed)
        return self._hosts[host]


class ReplayingProber:
    """Answers from a recording. A host that is not in it is NoMailHost(offline).

    Attributes:
        hosts: what was recorded, by host.

    """

    def __init__(self, hosts: _Hosts) -> None:
        self.hosts = hosts

    async def probe(self, host: str, resolver: Resolver) -> Probed:
        """Answer from the recording."""
        return self.hosts.get(host) or NoMailHost(host, Reason.OFFLINE, "not in the recording")


def _host_to_json(probed: Probed) -> dict[str, Any]:
    if isinstance(probed, NoMailHost):
        return {"at": probed.at, "detail": probed.detail, "reason": probed.reason.value, "status": "failed"}
    return {
        "address": probed.address,
        "at": probed.at,
        "certificate": base64.b64encode(probed.certificate or b"").decode("ascii"),
        "certificate_problem": probed.certificate_problem,
        "greeting": probed.greeting,
        "reachable": probed.reachable,
        "starttls": probed.starttls,
        "status": "seen",
        "tls_problem": probed.tls_problem,
        "tls_version": probed.tls_version,
    }


def _host_from_json(host: str, entry: dict[str, Any]) -> Probed:
    at = _text(entry["at"])
    if entry["status"] == "failed":
        return NoMailHost(host, Reason(entry["reason"]), _text(entry["detail"]), at)
    try:
        certificate = base64.b64decode(_text(entry["certificate"]), validate=True)
    except binascii.Error:
        raise ValueError(f"{host}: the certificate is not base64") from None
    starttls, version = entry["starttls"], entry["tls_version"]
    return MailHost(
        host,
        _text(entry["address"]),
        entry["reachable"] is True,
        _text(entry["greeting"]),
        None if starttls is None else starttls is True,
        None if version is None else _text(version),
        _text(entry["tls_problem"]),
        certificate or None,
        _text(entry["certificate_problem"]),
        at,
    )


def _page_to_json(fetched: Fetched) -> dict[str, Any]:
    if isinstance(fetched, NoPage):
        return {
            "at": fetched.at,
            "certain": fetched.certain,
            "detail": fetched.detail,
            "reason": fetched.reason.value,
            "status": 0,
        }
    return {
        "at": fetched.at,
        "body": base64.b64encode(fetched.body).decode("ascii"),
        "content_type": fetched.content_type,
        "server": fetched.server,
        "status": fetched.status,
    }


def _page_from_json(url: str, entry: dict[str, Any]) -> Fetched:
    status, at = _count(entry["status"]), _text(entry["at"])
    if not status:
        return NoPage(url, Reason(entry["reason"]), _text(entry["detail"]), entry["certain"] is True, at)
    try:
        body = base64.b64decode(_text(entry["body"]), validate=True)
    except binascii.Error:
        raise ValueError(f"{url}: the body is not base64") from None
    return Page(url, status, _text(entry["content_type"]), body, at, _text(entry["server"]))


def _to_json(answer: Answer) -> dict[str, Any]:
    entry: dict[str, Any] = {"at": answer.at, "server": answer.server}
    if isinstance(answer, Failed):
        return entry | {"status": "failed", "reason": answer.reason.value, "detail": answer.detail}
    entry |= {"ttl": answer.ttl, "chain": list(answer.chain)}
    if isinstance(answer, Absent):
        return entry | {"status": "nxdomain" if answer.nxdomain else "nodata"}
    octets = [list(lengths) for lengths in answer.string_octets]
    entry |= {"status": "found", "values": list(answer.values), "string_octets": octets}
    return entry | {"authenticated": True} if answer.authenticated else entry


def _from_json(name: str, rdtype: str, entry: dict[str, Any]) -> Answer:
    status = entry["status"]
    at, server = _text(entry["at"]), _text(entry["server"])
    if status == "failed":
        return Failed(name, rdtype, Reason(entry["reason"]), _text(entry["detail"]), at, server)
    ttl, chain = _count(entry["ttl"]), tuple(_text(link) for link in entry["chain"])
    if status in ("nxdomain", "nodata"):
        return Absent(name, rdtype, status == "nxdomain", ttl, chain, at, server)
    if status != "found" or not entry["values"]:
        raise ValueError(f"{name} {rdtype}: unknown status {status!r} or no values")
    values = tuple(_text(value) for value in entry["values"])
    octets = tuple(tuple(_count(length) for length in lengths) for lengths in entry["string_octets"])
    if octets and len(octets) != len(values):
        raise ValueError(f"{name} {rdtype}: string_octets does not match the values")
    return Found(name, rdtype, values, ttl, chain, octets, at, server, entry.get("authenticated") is True)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} should be text")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{value!r} should be a count")
    return value
