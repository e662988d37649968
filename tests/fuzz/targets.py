"""Every reader of outside octets as a function of octets, and the inputs that its mutations start from.

A target may give back anything, and may raise only what its reader says that it raises.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from deliverability.feedback.catalogue import load_replies
from deliverability.feedback.explain import explain
from deliverability.judge.engine import Selection
from deliverability.mail.files.archives import open_archive
from deliverability.mail.files.images import measure
from deliverability.mail.files.office import read_ole, read_ooxml
from deliverability.mail.files.pdf import is_encrypted, is_pdf, weigh
from deliverability.mail.files.types import identify
from deliverability.model.codec import decode_facts
from deliverability.model.spf import plain
from deliverability.ports import wire
from deliverability.ports.clock import FixedClock
from deliverability.ports.nobody import OFFLINE
from deliverability.ports.overlay import parse_proposal
from deliverability.ports.ports import Ports
from deliverability.ports.recording import RecordingError, replaying
from deliverability.ports.static import StaticResolver
from deliverability.ports.zone import ZoneError, ZoneResolver
from deliverability.protocols.dkim.arc import verify_arc
from deliverability.protocols.dkim.key import Check, check, parse_key
from deliverability.protocols.dkim.verify import verify_dkim
from deliverability.protocols.spf.evaluate import evaluate_spf
from deliverability.protocols.spf.tree import walk_tree
from deliverability.runs.engine import gather_facts, make_report
from deliverability.runs.job import Job, Sample
from deliverability.runs.rules import load_rules, rule_folders
from deliverability.slim.message import slim
from tests import TESTS
from tests.corpus import corpus_root
from tests.test_hostile import OTHERS, PIECES, RECORDS, Reader

NOW = datetime(2026, 11, 24, tzinfo=UTC)
LARGEST_SEED = 40_000  # octets: larger files only make each run slower
FROM_CORPUS = 60  # files a folder at most


class Target(Struct, frozen=True):
    """What is run on the octets, what it may raise, and where its mutations start."""

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    may_raise: tuple[type[Exception], ...] = ()


def texts_of(reader: Reader) -> Target:
    """A reader of texts, handed the octets as a header field has them, and the texts that keep it busy, shortened."""
    heads = (*reader.heads, *reader.pieces, *(piece.replace("#", "1") for piece in reader.numbered))
    seeds = [head + piece * 3 for head in heads for piece in ("", *reader.pieces[:4])]
    return Target(
        lambda octets: reader.work(octets.decode("utf-8", "surrogateescape")),
        tuple(text.encode("utf-8", "surrogateescape") for text in seeds),
    )


def files(*patterns: str, corpus: tuple[str, ...] = ()) -> tuple[bytes, ...]:
    """The files of the tests that fit the patterns, and with DELIV_CORPUS those of folders of the corpus."""
    found = [path for pattern in patterns for path in sorted(TESTS.glob(pattern))]
    root = corpus_root()
    for folder in corpus if root else ():
        some = [path for path in sorted((root / folder).rglob("*")) if path.is_file() and path.suffix != ".md"]
        found += some[:: max(1, len(some) // FROM_CORPUS)]
    octets = [path.read_bytes() for path in found if path.is_file()]
    return tuple(each for each in octets if len(each) <= LARGEST_SEED)


def run(work: Any) -> Any:
    return asyncio.run(work)


def of_dns(octets: bytes) -> object:
    """A reply to a question of each kind."""
    questions = [wire.query((b"example", b"com"), rdtype, edns=True) for rdtype in ("TXT", "MX", "A", "TLSA")]
    return [wire.reply(octets, replace(each, ident=0)) for each in questions]


def zone(octets: bytes) -> object:
    zones = ZoneResolver([("example.com.zone", octets)])
    zones.check(zones.origins)
    return [
        run(zones.query(f"{label}example.com", rdtype)) for label in ("", "_dmarc.", "a.") for rdtype in ("TXT", "MX")
    ]


def recording(octets: bytes) -> object:
    path = Path(scratch().name) / "recording.json"
    path.write_bytes(octets)
    return replaying(path).dns


@cache
def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder that goes at the end."""
    return tempfile.TemporaryDirectory(prefix="deliv-fuzz-")


def spf(octets: bytes) -> object:
    """A record that includes itself, looked at as a tree and evaluated for an address of either version."""
    text = octets.decode("utf-8", "backslashreplace")
    resolver = StaticResolver({(f"{label}example.com", "TXT"): ["v=spf1 " + text] for label in ("", "a.", "b.")})

    async def work() -> object:
        tree = await walk_tree("example.com", resolver)
        results = [
            await evaluate_spf(ip, "a@example.com", "example.com", resolver) for ip in ("192.0.2.1", "2001:db8::1")
        ]
        return plain(tree.root.tree), tree.gap, tree.dead_names, results

    return run(work())


def signatures(octets: bytes) -> object:
    """Every key is the one in the first line."""
    key, _, message = octets.partition(b"\n")
    resolver = StaticResolver({("a._domainkey.example.com", "TXT"): [key.decode("utf-8", "backslashreplace")]})
    return run(verify_dkim(message, resolver, NOW)), run(verify_arc(message, resolver, NOW))


def key(octets: bytes) -> object:
    found = parse_key(octets.decode("utf-8", "backslashreplace"))
    return [check(found, name, octets[:256], octets) for name in ("sha256", "sha1")] if found.valid else Check.BAD


def mail(octets: bytes) -> object:
    """A whole audit of a message, offline, judged; an auditor that crashed is a crash."""
    ports = Ports(OFFLINE, FixedClock(NOW), sources=("offline",))
    audited = run(gather_facts(Job(None, Sample("a.eml", data=octets)), ports))
    if audited.crashes:
        raise AssertionError(audited.crashes[0])
    return make_report(audited, rules(), Selection())


def domain(octets: bytes) -> object:
    """A whole audit of a domain at whose every name the lines stand, as TXT records."""
    records = tuple(octets.decode("utf-8", "backslashreplace").split("\n"))[:20]
    names = ("", "_dmarc.", "_mta-sts.", "_smtp._tls.", "default._bimi.", "default._domainkey.")
    resolver = StaticResolver({(f"{name}example.com", "TXT"): list(records) for name in names})
    audited = run(gather_facts(Job("example.com"), Ports(resolver, FixedClock(NOW), sources=("static",))))
    if audited.crashes:
        raise AssertionError(audited.crashes[0])
    return make_report(audited, rules(), Selection())


@cache
def rules() -> Any:
    return load_rules()


@cache
def replies() -> Any:
    return load_replies(rule_folders(), rules())


def facts(octets: bytes) -> object:
    return decode_facts(json.loads(octets))


def targets() -> dict[str, Target]:
    """All of them by name."""
    mails = files("mails/*.eml", "mails/recorded/*.eml", "golden/*.eml", corpus=("mails", "dkim", "bounces"))
    records = tuple(
        text.encode()
        for text in (
            "v=spf1 include:a.example.com ip4:192.0.2.0/24 ~all\nv=DMARC1; p=none; rua=mailto:a@example.com",
            "v=STSv1; id=1\nv=TLSRPTv1; rua=mailto:a@example.com\nv=BIMI1; l=https://example.com/a.svg",
            "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
            " ".join(PIECES.values()).replace("\udc80", ""),
        )
    )
    spf_seeds = tuple(
        text.encode()
        for text in (
            "include:a.example.com a mx/24 ip4:192.0.2.1 -all",
            "exists:%{ir}.%{l1r-}.a redirect=b.example.com",
        )
    )
    signed = tuple(
        b"v=DKIM1; p=MIGfMA0GCSqGSIb3\n" + each for each in mails if b"DKIM-Signature" in each or b"ARC-Seal" in each
    )
    named: dict[str, Target] = {name: texts_of(reader) for name, reader in (RECORDS | OTHERS).items()}
    return named | {
        "DNS reply": Target(of_dns, tuple(dns_replies())),
        "zone file": Target(zone, files("zones/*.zone", "golden/*.zone"), (ZoneError,)),
        "proposal": Target(
            lambda octets: parse_proposal(octets.decode("utf-8", "replace")),
            (b'a.example.com TXT "v=spf1 -all"', b"a 300 IN MX 10 b"),
            (ValueError,),
        ),
        "recording": Target(
            recording,
            (b'{"format": "deliv-recording", "schema_version": 1, "now": "2026-11-24T00:00:00Z", "dns": {}}',),
            (RecordingError,),
        ),
        "facts": Target(facts, (b'{"facts": {}, "evidence": {}}',), (ValueError, RecursionError)),
        "SPF tree": Target(spf, spf_seeds),
        "DKIM key, used": Target(key, (records[2],)),
        "signed mail": Target(signatures, signed or (b"v=DKIM1; p=\nDKIM-Signature: v=1; d=example.com; s=a\r\n\r\n",)),
        "mail": Target(mail, mails),
        "mail, made lighter": Target(slim, mails),
        "domain": Target(domain, records),
        "bounce": Target(
            lambda octets: explain(octets, replies(), rules()),
            (*mails, b"550 5.7.1 a\r\n", b"host a[192.0.2.1] said: 450-4.2.0 b"),
        ),
        "file": Target(
            lambda octets: (identify(octets), open_archive(octets, "a.zip"), read_ooxml(octets), read_ole(octets)),
            (*archives(), *files(corpus=("archives",))),
        ),
        "image": Target(measure, images()),
        "PDF": Target(
            lambda octets: (is_pdf(octets), is_pdf(octets) and (weigh(octets), is_encrypted(octets))),
            (b"%PDF-1.4\n1 0 obj <</Type /Page>> stream\nendstream endobj xref 0 1 trailer <</Encrypt 2 0 R>>",),
        ),
    }


def dns_replies() -> Iterator[bytes]:
    """Replies with the id 0 as a server would send them."""
    import dns.message
    import dns.rrset

    for rdtype, value in (
        ("TXT", '"v=spf1 -all" "b"'),
        ("MX", "10 a.example.com."),
        ("A", "192.0.2.1"),
        ("TLSA", "3 1 1 " + "ab" * 32),
    ):
        query = dns.message.make_query("example.com", rdtype, id=0)
        reply = dns.message.make_response(query)
        reply.answer = [
            dns.rrset.from_text("example.com.", 300, "IN", "CNAME", "b.example.com."),
            dns.rrset.from_text("b.example.com.", 300, "IN", rdtype, value),
        ]
        yield reply.to_wire()


def archives() -> tuple[bytes, ...]:
    """A ZIP, a tar and a gzip file with a name in each."""
    import gzip
    import io
    import tarfile
    import zipfile

    packed, taped = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("[Content_Types].xml", "<Types/>")
        file.writestr("word/vbaProject.bin", b"a")
    with tarfile.open(fileobj=taped, mode="w") as tape:
        tape.addfile(tarfile.TarInfo("a.exe"))
    return packed.getvalue(), taped.getvalue(), gzip.compress(b"a" * 100)


def images() -> tuple[bytes, ...]:
    """A picture of each common format."""
    import io

    from PIL import Image

    found = []
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP"):
        file = io.BytesIO()
        Image.new("RGB", (8, 8), (200, 0, 0)).save(file, kind)
        found.append(file.getvalue())
    return tuple(found)
