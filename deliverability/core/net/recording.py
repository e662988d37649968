"""The file of a recording: every outside answer of a run as JSON, from which a later run is answered."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from deliverability.core.codec import decode_detail, encode
from deliverability.core.codes import Code, Detail
from deliverability.core.errors import FILE_TOO_LARGE, InputError, file_error, not_written
from deliverability.core.facts.base import Reason
from deliverability.core.files import PRIVATE, write_whole
from deliverability.core.net.base import (
    Absent,
    Answer,
    DnsQuestion,
    Failed,
    Fetched,
    Found,
    Get,
    MailHost,
    NoMailHost,
    NoPage,
    Page,
    Post,
    Probe,
    Probed,
    Signed,
    SignedQuestion,
)
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Journal, Permissions, Ports
from deliverability.core.net.static import OFFLINE

FORMAT = "deliv-recording"
SCHEMA_VERSION = 2
"""Version 1, of deliv 0.1.0, had sentences where 2 has codes; they stay the text they were."""
MAX_FILE = 256 * 1024 * 1024  # octets
_ASKED = {"fetch": "http", "one_click": "http_post", "probe_smtp": "smtp"}

DAMAGED_RECORDING = Code("damaged-recording", ("file", "why"))
NO_RECORDING = Code("no-recording", ("file",))
OTHER_RECORDING = Code("other-recording", ("file", "version", "newest"))


class RecordingError(InputError):
    """A recording cannot be written or used."""


def write_recording(path: Path, ports: Ports, made_by: str) -> None:
    """Write down what the journal of a run holds; the same answers of the same version give the same bytes.

    Raises:
        RecordingError: the file cannot be written.

    """
    dns: dict[str, dict[str, Any]] = {}
    signed: dict[str, dict[str, Any]] = {}
    pages: dict[str, Any] = {}
    posts: dict[str, Any] = {}
    hosts: dict[str, Any] = {}
    for question, answer in ports.journal or ():
        match question:
            case DnsQuestion(name, rdtype):
                dns.setdefault(name, {})[rdtype] = _to_json(answer)
            case SignedQuestion(name, rdtype):
                signed.setdefault(name, {})[rdtype] = _signed_to_json(answer)
            case Get(url):
                pages[url] = _page_to_json(answer)
            case Post(url):
                posts[url] = _page_to_json(answer)
            case Probe(host):
                hosts[host] = _host_to_json(answer)
    document = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "made_by": made_by,
        "now": ports.clock.now().isoformat(),
        "sources": list(ports.sources),
        "asked": sorted(name for flag, name in _ASKED.items() if getattr(ports.permissions, flag)),
        "dns": dns,
        "dnssec": signed,
        "http": pages,
        "http_post": posts,
        "smtp": hosts,
    }
    text = json.dumps(document, sort_keys=True, indent=1) + "\n"
    try:
        write_whole(path, text, mode=PRIVATE)  # what somebody asked, and about whom
    except OSError as error:
        raise RecordingError(not_written(path, error)) from None


def replaying(path: Path) -> Ports:
    """Ports that answer from a recording, at the time and with the permissions of the recorded run.

    A question that is not in it is answered with offline.

    Raises:
        RecordingError: the file cannot be read, is no recording, or is one of another version.

    """
    document = _read(path)
    journal = Journal()
    try:
        now = datetime.fromisoformat(document["now"])
        if now.tzinfo is None:
            raise ValueError("now has no time zone")
        for name, entries in document["dns"].items():
            for rdtype, entry in entries.items():
                journal.keep(DnsQuestion(name, rdtype), _from_json(name, rdtype, entry))
        for name, entries in document.get("dnssec", {}).items():
            for rdtype, entry in entries.items():
                journal.keep(SignedQuestion(name, rdtype), _signed_from_json(name, rdtype, entry))
        for url, entry in document.get("http", {}).items():
            journal.keep(Get(url), _page_from_json(url, entry))
        for url, entry in document.get("http_post", {}).items():
            journal.keep(Post(url), _page_from_json(url, entry))
        for host, entry in document.get("smtp", {}).items():
            journal.keep(Probe(host), _host_from_json(host, entry))
        sources = tuple(_text(source) for source in document.get("sources", []))
        asked = {_text(each) for each in document.get("asked", [])}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordingError(DAMAGED_RECORDING(file=str(path), why=f"{type(error).__name__}: {error}")) from None
    journal.close()
    permissions = Permissions(**{flag: name in asked for flag, name in _ASKED.items()})
    # The report of a replay is that of the recorded run, byte for byte.
    return Ports(OFFLINE, FixedClock(now), permissions=permissions, sources=sources or ("replay",)).under(journal)


def _read(path: Path) -> dict[str, Any]:
    """The document of a recording of our version."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except OSError as error:
        raise RecordingError(file_error(path, error)) from None
    if len(data) > MAX_FILE:
        raise RecordingError(FILE_TOO_LARGE(file=str(path), n=MAX_FILE // 1_000_000))
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise RecordingError(NO_RECORDING(file=str(path))) from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise RecordingError(NO_RECORDING(file=str(path)))
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        raise RecordingError(OTHER_RECORDING(file=str(path), version=str(version), newest=SCHEMA_VERSION))
    return document


def _host_to_json(probed: Probed) -> dict[str, Any]:
    if isinstance(probed, NoMailHost):
        return {"at": probed.at, "detail": encode(probed.detail), "reason": probed.reason.value, "status": "failed"}
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
        return NoMailHost(host, Reason(entry["reason"]), _why(entry["detail"]), at)
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
            "detail": encode(fetched.detail),
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
        return NoPage(url, Reason(entry["reason"]), _why(entry["detail"]), entry["certain"] is True, at)
    try:
        body = base64.b64decode(_text(entry["body"]), validate=True)
    except binascii.Error:
        raise ValueError(f"{url}: the body is not base64") from None
    return Page(url, status, _text(entry["content_type"]), body, at, _text(entry["server"]))


def _to_json(answer: Answer) -> dict[str, Any]:
    entry: dict[str, Any] = {"at": answer.at, "server": answer.server}
    if isinstance(answer, Failed):
        return entry | {"status": "failed", "reason": answer.reason.value, "detail": encode(answer.detail)}
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
        return Failed(name, rdtype, Reason(entry["reason"]), decode_detail(entry["detail"]), at, server)
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


def _signed_to_json(answer: Signed | Failed) -> dict[str, Any]:
    if isinstance(answer, Failed):
        return _to_json(answer)
    octets = base64.b64encode(answer.octets).decode("ascii")
    return {"at": answer.at, "octets": octets, "server": answer.server, "status": "signed"}


def _signed_from_json(name: str, rdtype: str, entry: dict[str, Any]) -> Signed | Failed:
    at, server = _text(entry["at"]), _text(entry["server"])
    if entry["status"] == "failed":
        return Failed(name, rdtype, Reason(entry["reason"]), decode_detail(entry["detail"]), at, server)
    try:
        octets = base64.b64decode(_text(entry["octets"]), validate=True)
    except binascii.Error:
        raise ValueError(f"{name} {rdtype}: the signed reply is not base64") from None
    return Signed(name, rdtype, octets, at, server)


def _why(value: object) -> Detail:
    detail = decode_detail(value)
    if detail is None:
        raise ValueError("a failure without detail")
    return detail


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} should be text")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{value!r} should be a count")
    return value
