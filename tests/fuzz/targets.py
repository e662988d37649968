"""Every reader of outside octets as a function of octets, and the inputs that its mutations start from.

A target may give back anything, and may raise only what its reader says that it raises.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from deliverability.console.settings import load as load_settings
from deliverability.core.codec import decode_facts
from deliverability.core.errors import InputError
from deliverability.core.inputs import Sample, Subject
from deliverability.core.mail.files.archives import open_archive
from deliverability.core.mail.files.documents import is_encrypted, is_pdf, read_ole, read_ooxml, weigh
from deliverability.core.mail.files.images import measure
from deliverability.core.mail.files.types import identify
from deliverability.core.net import wire
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.overlay import parse_proposal
from deliverability.core.net.ports import Ports
from deliverability.core.net.recording import RecordingError, replaying
from deliverability.core.net.static import OFFLINE, StaticResolver
from deliverability.core.net.zone import ZoneError, ZoneResolver
from deliverability.core.net.zones.base import Reading, Source, ZoneInput
from deliverability.core.net.zones.over import laid_over
from deliverability.core.net.zones.read import look
from deliverability.core.protocols.dkim.arc import verify_arc
from deliverability.core.protocols.dkim.key import Check, check, parse_key
from deliverability.core.protocols.dkim.verify import verify_dkim
from deliverability.core.protocols.dnsbl import load_private_list
from deliverability.core.protocols.spf.evaluate import evaluate_spf
from deliverability.core.protocols.spf.tree import walk_tree
from deliverability.core.replies.explain import explain
from deliverability.core.replies.match import load_replies
from deliverability.core.rules.judge import Selection
from deliverability.core.rules.knowledge import load_knowledge
from deliverability.core.rules.load import load_rules as load_rule_files
from deliverability.core.store.store import History
from deliverability.engine.audit import gather_facts, make_report
from deliverability.engine.base import catalogue
from deliverability.engine.remedies.records import REMEDIES
from deliverability.engine.rules import load_rules, rule_folders
from deliverability.fleet.lists import FleetList
from deliverability.fleet.shards import file_digest, read_lines, read_rows, shard_file
from deliverability.listen.store import Capture
from deliverability.lists.catalogue import load_list_data
from deliverability.lists.table import open_list
from deliverability.slim.message import slim
from deliverability.warm_up.facts import read_plan
from deliverability.weekly.notify.outbox import Outbox
from deliverability.weekly.run import read_summary
from tests import TESTS
from tests.core.net.zones import writing
from tests.corpus import corpus_root
from tests.fuzz import grammar
from tests.fuzz.grammar import Made, maker
from tests.fuzz.mutate import mutated
from tests.intake import readers
from tests.intake.reports import record, report
from tests.test_hostile import OTHERS, PIECES, RECORDS, Reader

NOW = datetime(2026, 11, 24, tzinfo=UTC)
LARGEST_SEED = 40_000  # octets: larger files only make each run slower
FROM_CORPUS = 60  # files a folder at most


class Target(Struct, frozen=True):
    """What is run on the octets, what it may raise, and where they come from.

    Attributes:
        run: the reader.
        seeds: mutations start there.
        may_raise: what the reader says that it raises.
        made: texts of a grammar; None: there is none.
        share: how many inputs it gets where others get one, by how quick it is.

    """

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    may_raise: tuple[type[Exception], ...] = ()
    made: Made | None = None
    share: int = 1

    def input(self, found: Sequence[bytes], random: Random) -> bytes:
        """One more input: of the grammar, mutated or not, or a mutation of a seed or of what was found interesting."""
        if self.made is not None and random.random() < 0.5:
            octets = self.made(random)
            return octets if random.random() < 0.7 else mutated((octets, *self.seeds[:5]), random)
        return mutated(found if found and random.random() < 0.5 else self.seeds, random)


GRAMMARS = {
    "SPF": grammar.SPF,
    "SPF, mended": grammar.SPF,
    "DMARC": grammar.DMARC,
    "DKIM key": grammar.DKIM,
    "BIMI": grammar.BIMI,
    "MTA-STS": grammar.STS,
    "TLS-RPT": grammar.TLSRPT,
    "DKIM signature": grammar.SIGNATURE,
}
"""Of readers of one text."""


def texts_of(name: str, reader: Reader) -> Target:
    """A reader of texts, handed the octets as a header field has them, and the texts that keep it busy, shortened."""
    heads = (*reader.heads, *reader.pieces, *(piece.replace("#", "1") for piece in reader.numbered))
    seeds = [head + piece * 3 for head in heads for piece in ("", *reader.pieces[:4])]
    return Target(
        lambda octets: reader.work(octets.decode("utf-8", "surrogateescape")),
        tuple(text.encode("utf-8", "surrogateescape") for text in seeds),
        made=grammar.maker(GRAMMARS[name]) if name in GRAMMARS else None,
        share=20,
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


def plan(octets: bytes) -> object:
    """A zone or plan of another tool, by its content, and what it answers."""
    found = [each for label in ("example.com.yaml", "plan.json") for each in readings(label, octets)]
    resolver = laid_over(OFFLINE, found[:1])
    return [run(resolver.query(f"{label}example.com", "TXT")) for label in ("", "_dmarc.")]


def readings(label: str, octets: bytes) -> list[ZoneInput]:
    return list(look(Source(label, octets), Reading(origins=("example.com",))).read())


def plan_seeds() -> tuple[bytes, ...]:
    old, new = [("", "TXT", "v=spf1 ~all")], [("", "TXT", "v=spf1 -all"), ("", "MX", "10 mx.example.net.")]
    texts = [writing.terraform(kind, old, new) for kind in writing.KINDS]
    texts += [writing.octodns(new), writing.octodns_plan(old, new), writing.dnscontrol(new), writing.cloudflare(new)]
    texts += [writing.route53(new), writing.route53_batch(old, new)]
    return tuple(each.encode() for each in texts)


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
        return tree.root.tree, tree.gap, tree.dead_names, results

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
    audited = run(gather_facts(Subject(sample=Sample("a.eml", data=octets)), ports))
    if audited.crashes:
        raise AssertionError(audited.crashes[0])
    return make_report(audited, rules(), Selection())


def domain(octets: bytes) -> object:
    """A whole audit of a domain at whose every name the lines stand, as TXT records."""
    records = tuple(octets.decode("utf-8", "backslashreplace").split("\n"))[:20]
    names = ("", "_dmarc.", "_mta-sts.", "_smtp._tls.", "default._bimi.", "default._domainkey.")
    resolver = StaticResolver({(f"{name}example.com", "TXT"): list(records) for name in names})
    audited = run(gather_facts(Subject("example.com"), Ports(resolver, FixedClock(NOW), sources=("static",))))
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


def written(name: str, octets: bytes) -> Path:
    """The octets as a file of that name."""
    path = Path(scratch().name) / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(octets)
    return path


def settings(octets: bytes) -> object:
    return load_settings(written("deliv.toml", octets)).source_words


def rule_files(octets: bytes) -> object:
    """In the place of rules, and of what auditors look things up in."""
    folder = written("rules/own.yaml", octets).parent
    for name in ("senders", "replies", "receivers"):
        written(f"rules/{name}/own.yaml", octets) if (folder / name).is_dir() else (folder / name).mkdir()
    problems: list[Any] = []
    readers: tuple[Callable[[], object], ...] = (
        lambda: load_rule_files([folder], catalogue(), REMEDIES),
        lambda: load_knowledge([folder]),
    )
    for reader in readers:
        try:
            reader()
        except InputError as error:
            problems += error.details
    return problems


@cache
def history_file() -> bytes:
    """A history of one run."""
    path = Path(scratch().name) / "made.db"
    history = History.open(f"sqlite:///{path}")
    history.finish(history.begin("2026-11-24T00:00:00Z", "1"), "2026-11-24T00:00:01Z")
    history.close()
    return path.read_bytes()


def history(octets: bytes) -> object:
    """A file that is given as a history."""
    path = written("h.db", octets)
    for name in ("h.db-wal", "h.db-shm", "h.db-journal"):
        path.with_name(name).unlink(missing_ok=True)
    opened = History.open(f"sqlite:///{path}")
    try:
        return opened.runs(), opened.keys(), list(opened.export(lambda error: None))
    finally:
        opened.close()


def histories(random: Random) -> bytes:
    """A history of which a page, or a few octets, are others."""
    octets = bytearray(history_file())
    for _ in range(random.choice((1, 2, 8, 64))):
        place = random.randrange(len(octets))
        octets[place : place + 1] = random.randbytes(1)
    return bytes(octets)


def table(octets: bytes) -> object:
    """A list of addresses, of a fleet, and of a private blocklist."""
    path = written("list.csv", octets)
    found: list[object] = []
    for reader in (
        lambda: list(open_list(path, list_data()).rows()),
        lambda: fleet_list(path),
        lambda: load_private_list("mine", path),
        lambda: read_plan(path),
    ):
        with contextlib.suppress(InputError):
            found.append(reader())
    return found


def fleet_list(path: Path) -> object:
    opened = FleetList.of(path)
    try:
        return list(opened.lines())
    finally:
        opened.close()


@cache
def list_data() -> Any:
    return load_list_data(rule_folders())


SHARDS = ("rows", "facts")


def shard(octets: bytes) -> object:
    """A shard of a fleet, as it is on the disk and as what is packed in it."""
    found: list[object] = []
    for packed in (octets, gzip.compress(octets, 1)):
        folder = written("fleet/x", b"").parent
        for kind in SHARDS:
            path = shard_file(folder, kind, 0)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(packed)
        digest = file_digest(packed)
        with contextlib.suppress(InputError):
            found.append(list(read_rows(folder, 0, digest, 1)))
        with contextlib.suppress(InputError):
            found.append(list(read_lines(folder, "facts", 0, digest, 1)))
    return found


def feedback(octets: bytes) -> object:
    """As an intake reads a file or a mail."""
    return readers.found(octets)


def outbox(octets: bytes) -> object:
    """A notification that waits."""
    path = written("outbox/n.json", octets)
    path.with_suffix(".body").write_bytes(b"")
    return list(Outbox(path.parent).waiting()), Outbox(path.parent).set_aside()


def summary(octets: bytes) -> object:
    return read_summary(written("summary.json", octets))


def capture(octets: bytes) -> object:
    """What a listener kept of a message."""
    try:
        return Capture.of(json.loads(octets))
    except RecursionError:
        return None


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
    named: dict[str, Target] = {name: texts_of(name, reader) for name, reader in (RECORDS | OTHERS).items()}
    return named | {
        "DNS reply": Target(of_dns, tuple(dns_replies()), made=dns_reply, share=10),
        "zone file": Target(zone, files("zones/*.zone", "golden/*.zone"), (ZoneError,), maker(grammar.ZONE), share=3),
        "plan": Target(plan, plan_seeds(), (InputError,), share=3),
        "proposal": Target(
            lambda octets: parse_proposal(octets.decode("utf-8", "replace")),
            (b'a.example.com TXT "v=spf1 -all"', b"a 300 IN MX 10 b"),
            (ValueError,),
            maker(grammar.ZONE),
            share=10,
        ),
        "recording": Target(
            recording,
            (b'{"format": "deliv-recording", "schema_version": 1, "now": "2026-11-24T00:00:00Z", "dns": {}}',),
            (RecordingError,),
            maker(grammar.RECORDING),
            share=5,
        ),
        "facts": Target(
            facts, (b'{"facts": {}, "evidence": {}}',), (ValueError, RecursionError), maker(grammar.FACTS), share=10
        ),
        "SPF tree": Target(spf, spf_seeds, made=maker(grammar.SPF), share=3),
        "DKIM key, used": Target(key, (records[2],)),
        "signed mail": Target(signatures, signed or (b"v=DKIM1; p=\nDKIM-Signature: v=1; d=example.com; s=a\r\n\r\n",)),
        "mail": Target(mail, mails, made=maker(grammar.MAIL)),
        "mail, made lighter": Target(slim, mails, made=maker(grammar.MAIL), share=2),
        "domain": Target(domain, records, made=maker(grammar.DOMAIN)),
        "bounce": Target(
            lambda octets: explain(octets, replies(), rules()),
            (*mails, b"550 5.7.1 a\r\n", b"host a[192.0.2.1] said: 450-4.2.0 b"),
            made=maker(grammar.MAIL),
            share=2,
        ),
        "aggregate report": Target(feedback, (report(record(), record()),), made=maker(grammar.AGGREGATE), share=5),
        "TLS report": Target(feedback, (b'{"policies": []}',), made=maker(grammar.TLS), share=3),
        "events": Target(feedback, (b'{"event": "bounce"}',), made=maker(grammar.EVENTS), share=3),
        "log": Target(feedback, files("intake/logs/*.log"), made=maker(grammar.LOG), share=2),
        "failure report": Target(feedback, mails, made=maker(grammar.MAIL), share=2),
        "settings": Target(settings, (b'domains = ["example.com"]\n',), (InputError,), maker(grammar.TOML), share=3),
        "rule files": Target(rule_files, (b"[]", b"{}"), (), maker(grammar.YAML), share=2),
        "history": Target(history, (history_file(),), (InputError,), histories),
        "list": Target(table, (b"email,confirmed\na@example.com,yes\n",), (), maker(grammar.TABLE), share=3),
        "shard": Target(shard, (b'{"domain": "example.com"}\n',), (), maker(grammar.FACTS), share=3),
        "outbox": Target(outbox, (NOTIFICATION,), (), maker(grammar.NOTIFICATION), share=3),
        "summary": Target(summary, (b'{"subjects": []}',), (InputError,), maker(grammar.SUMMARY), share=5),
        "capture": Target(capture, (b'{"id": "a"}',), (ValueError,), maker(grammar.CAPTURE), share=10),
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


NOTIFICATION = b'{"kind": "email", "to": ["a@example.com"], "created": "", "attempts": 0, "problem": ""}'


def dns_reply(random: Random) -> bytes:
    """A header with counts, and records whose types and lengths are mostly true."""
    name = random.choice((b"\xc0\x0c", b"\x00", b"\x01a\x00", b"\xc0\x0e", b"\xc0\xff", b"\x3f" + b"a" * 63 + b"\x00"))
    question = b"\x07example\x03com\x00" + random.choice((b"\x00\x10", b"\x00\x0f", b"\x00\x01")) + b"\x00\x01"
    answers = b""
    count = random.choice((0, 1, 1, 2, 5, 60))
    for _ in range(count):
        kind = random.choice((1, 2, 5, 6, 15, 16, 28, 41, 46, 52, random.randrange(65_536)))
        rdata = random.choice(
            (b"\x03abc", b"\x00\x0a" + name, name, b"\xc0\x00\x02\x01", random.randbytes(random.randrange(40)))
        )
        length = len(rdata) if random.random() < 0.9 else random.randrange(65_536)
        answers += name + kind.to_bytes(2) + b"\x00\x01" + random.randbytes(4) + length.to_bytes(2) + rdata
    counts = (1, count if random.random() < 0.9 else random.randrange(65_536), 0, 0)
    flags = random.choice((b"\x81\x80", b"\x81\x83", b"\x83\x80", b"\x81\x82", random.randbytes(2)))
    return b"\x00\x00" + flags + b"".join(each.to_bytes(2) for each in counts) + question + answers


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
        file.writestr(zipfile.ZipInfo("[Content_Types].xml"), "<Types/>")
        file.writestr(zipfile.ZipInfo("word/vbaProject.bin"), b"a")
    with tarfile.open(fileobj=taped, mode="w") as tape:
        tape.addfile(tarfile.TarInfo("a.exe"))
    return packed.getvalue(), taped.getvalue(), gzip.compress(b"a" * 100, mtime=0)


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
