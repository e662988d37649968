"""A small DNS of signed zones, each with the fault that its plan names, and a server that answers from it on loopback.

    world = World([Zone("."), Zone("example"), Zone("late.example", Plan(window=(-20, -10)))])

Zones are signed when they are made, relative to now, by dnspython; NSEC and NSEC3 chains are made here. Replies are
those of a resolver that does not validate: they follow CNAME, and DS is answered by the zone above.
"""

from __future__ import annotations

import asyncio
import functools
import struct
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.NSEC
import dns.rrset
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from dns.dnssectypes import Algorithm
from dns.rdatatype import CNAME, DNAME, DNSKEY, DS, NS, NSEC, NSEC3, RRSIG, SOA, RdataType
from dns.rdtypes.util import Bitmap

from deliverability.core.codes import VERBATIM
from deliverability.core.facts.base import Reason
from deliverability.core.net.base import Absent, Answer, Failed, Found, Signed
from deliverability.core.net.names import canonical, dns_name_text, value_text

DAY = 86400
STARTED = int(time.time())
ALL = dns.dnssec.allow_all_policy


@functools.cache
def private_key(algorithm: int, which: str = "") -> Any:
    """A key of this algorithm: one for all zones, unless another is wanted."""
    if algorithm in (5, 7, 8, 10):
        return rsa.generate_private_key(65537, 2048)
    if algorithm in (13, 14):
        return ec.generate_private_key(ec.SECP256R1() if algorithm == 13 else ec.SECP384R1())
    return ed25519.Ed25519PrivateKey.generate() if algorithm == 15 else ed448.Ed448PrivateKey.generate()


@dataclass(frozen=True)
class Plan:
    """How a zone is signed, and what is wrong with it.

    Attributes:
        signed: it has keys and signatures.
        ds: the delegation: good, none, another key's, or one of DS_KINDS.
        algorithm: of its keys.
        deny: nsec, nsec3 or opt-out.
        iterations: of NSEC3.
        window: days from now in which signatures are valid.
        of_keys: the same for the signature over the keys.
        split: the keys are signed by one key, all else by another.
        flags: of its key.
        corrupt: of these labels and types the signature is damaged.
        strip: of these the signature is left out; ``*`` for all.
        denial: what a reply says of what there is not: good, none (no proof), unsigned, other (of another name).
        wildcard: the proof beside what a wildcard gives: good, none.
        records: what it has besides.

    """

    signed: bool = True
    ds: str = "good"
    algorithm: int = 13
    deny: str = "nsec"
    iterations: int = 0
    window: tuple[float, float] = (-10, 20)
    of_keys: tuple[float, float] | None = None
    split: bool = False
    flags: int = 257
    corrupt: tuple[tuple[str, str], ...] = ()
    strip: tuple[tuple[str, str], ...] = ()
    denial: str = "good"
    wildcard: str = "good"
    records: tuple[str, ...] = ()


USUAL = (
    "@ MX 10 mail",
    '@ TXT "v=spf1 mx -all"',
    "mail A 192.0.2.1",
    "_25._tcp.mail TLSA 3 1 1 " + "ab" * 32,
    "www CNAME mail",
    '*.wild TXT "of a wildcard"',
    "a.ent A 192.0.2.2",
    "sub NS ns.sub",
    "to-insecure CNAME host.sub",
    "to-other CNAME mail.good-nsec.example.",
    "below DNAME ent",
)


@dataclass
class Zone:
    """One zone, signed as planned."""

    text: str
    plan: Plan = field(default_factory=Plan)
    usual: bool = True

    def __post_init__(self) -> None:
        self.name = dns.name.from_text(self.text)
        self.sets: dict[tuple[dns.name.Name, RdataType], dns.rrset.RRset] = {}
        self.signatures: dict[tuple[dns.name.Name, RdataType], dns.rrset.RRset] = {}
        self.put("@", "SOA", "ns hostmaster 1 7200 900 1209600 300")
        self.put("@", "NS", "ns")
        self.put("ns", "A", "192.0.2.53")
        for line in (*(USUAL if self.usual else ()), *self.plan.records):
            owner, rdtype, value = line.split(maxsplit=2)
            self.put(owner, rdtype, value)
        kind = Algorithm.make(self.plan.algorithm)
        self.key = private_key(kind)
        self.dnskey = dns.dnssec.make_dnskey(self.key.public_key(), kind, self.plan.flags)
        self.signing = private_key(kind, "zone") if self.plan.split else self.key
        self.zone_key = dns.dnssec.make_dnskey(self.signing.public_key(), kind, 256) if self.plan.split else self.dnskey

    def put(self, owner: str, rdtype: str, value: str) -> None:
        name = dns.name.from_text(owner, self.name)
        made = dns.rdata.from_text("IN", rdtype, value, origin=self.name, relativize=False)
        self.sets.setdefault((name, made.rdtype), dns.rrset.RRset(name, dns.rdataclass.IN, made.rdtype)).add(made, 300)

    def delegate(self, child: Zone) -> None:
        """The records of a zone below."""
        owner = dns_name_text(child.name) + "."
        if (child.name, NS) not in self.sets:
            self.put(owner, "NS", f"ns.{owner}")
        for ds in child.ds():
            self.put(owner, "DS", ds.to_text())

    def ds(self) -> list[Any]:
        kind = self.plan.ds
        if kind == "none":
            return []

        def made(digest: str, key: Any = None) -> Any:
            return dns.dnssec.make_ds(self.name, key or self.dnskey, digest, policy=ALL)

        good = made("SHA256")
        other = dns.dnssec.make_dnskey(private_key(13, "other").public_key(), Algorithm.ECDSAP256SHA256)
        return {
            "good": [good],
            "wrong": [made("SHA256", other)],
            "sha1": [made("SHA1")],
            "sha384": [made("SHA384")],
            "sha1-and-wrong-sha256": [made("SHA1"), good.replace(digest=b"\1" * 32)],
            "wrong-sha1-and-sha256": [made("SHA1").replace(digest=b"\1" * 20), good],
            "unknown-algorithm": [good.replace(algorithm=Algorithm.make(200))],
            "unknown-digest": [good.replace(digest_type=200)],
            "unknown-beside-good": [good.replace(algorithm=Algorithm.make(200)), good],
            "other-beside-good": [made("SHA256", other), good],
            "wrong-tag": [good.replace(key_tag=(good.key_tag + 1) % 65536)],
        }[kind]

    # --- signing ---------------------------------------------------------------------------------------------------

    def sign(self) -> None:
        """Sign, when all delegations are there."""
        cuts = {name for name, kind in self.sets if kind == NS and name != self.name}
        self.cuts = cuts
        self.own = {name for name, _ in self.sets if not any(name.is_subdomain(cut) and name != cut for cut in cuts)}
        self.plain: list[tuple[dns.name.Name, dns.rrset.RRset]] = []
        self.hashed: list[tuple[str, dns.rrset.RRset]] = []
        if not self.plan.signed:
            return
        keys = [self.dnskey] if not self.plan.split else [self.dnskey, self.zone_key]
        for key in keys:
            self.put("@", "DNSKEY", key.to_text())
        if self.plan.deny != "nsec":
            self.put("@", "NSEC3PARAM", f"1 0 {self.plan.iterations} aabb")
        for (name, kind), records in list(self.sets.items()):
            if name in self.own and not (name in cuts and kind != DS):
                self.signatures[name, kind] = self.signed(records)
        if self.plan.deny == "nsec":
            self._chain()
        else:
            self._hashed_chain()

    def signed(self, records: dns.rrset.RRset) -> dns.rrset.RRset:
        of_keys = records.rdtype == DNSKEY
        since, until = (self.plan.of_keys if of_keys else None) or self.plan.window
        key, dnskey = (self.key, self.dnskey) if of_keys else (self.signing, self.zone_key)
        made: Any = dns.dnssec.sign(
            records, key, self.name, dnskey,
            inception=STARTED + int(since * DAY), expiration=STARTED + int(until * DAY), policy=ALL,
        )  # fmt: skip
        label = dns_name_text(records.name).removesuffix(dns_name_text(self.name)).rstrip(".") or "@"
        rdtype = dns.rdatatype.to_text(records.rdtype)
        if {(label, rdtype), ("*", rdtype), ("*", "*")} & set(self.plan.corrupt):
            made = made.replace(signature=made.signature[:-1] + bytes([made.signature[-1] ^ 1]))
        found = dns.rrset.RRset(records.name, dns.rdataclass.IN, RRSIG, records.rdtype)
        if not {(label, rdtype), ("*", rdtype), ("*", "*")} & set(self.plan.strip):
            found.add(made, 300)
        return found

    def kinds(self, name: dns.name.Name) -> list[RdataType]:
        there = [kind for owner, kind in self.sets if owner == name]
        if name in self.cuts:
            there = [kind for kind in there if kind in (NS, DS)]
        return there

    def _chain(self) -> None:
        names = sorted(self.own)
        for name, after in zip(names, [*names[1:], names[0]], strict=True):
            types = Bitmap.from_rdtypes([*self.kinds(name), RRSIG, NSEC])
            data = dns.rdtypes.ANY.NSEC.NSEC(dns.rdataclass.IN, NSEC, after, types.windows)
            records = dns.rrset.from_rdata(name, 300, data)
            self.signatures[name, NSEC] = self.signed(records)
            self.plain.append((name, records))

    def _hashed_chain(self) -> None:
        names: set[dns.name.Name] = set()
        for name in self.own:
            if self.plan.deny == "opt-out" and name in self.cuts and DS not in self.kinds(name):
                continue
            above = name
            while above != self.name:
                names.add(above)
                above = above.parent()
        names.add(self.name)
        hashes = sorted((self.hash(name), name) for name in names)
        flags = 1 if self.plan.deny == "opt-out" else 0
        for (hashed, name), (after, _) in zip(hashes, [*hashes[1:], hashes[0]], strict=True):
            kinds = self.kinds(name)
            secure = kinds and not (name in self.cuts and DS not in kinds)
            types = " ".join(dns.rdatatype.to_text(each) for each in [*kinds, *([RRSIG] if secure else [])])
            text = f"1 {flags} {self.plan.iterations} aabb {after} {types}"
            owner = dns.name.Name([hashed.encode()]) + self.name
            records = dns.rrset.from_text(owner, 300, "IN", "NSEC3", text)
            self.signatures[owner, NSEC3] = self.signed(records)
            self.hashed.append((hashed, records))

    def hash(self, name: dns.name.Name) -> str:
        return dns.dnssec.nsec3_hash(name, "aabb", self.plan.iterations, "SHA1")

    # --- answers ---------------------------------------------------------------------------------------------------

    def exists(self, name: dns.name.Name) -> bool:
        return any(owner.is_subdomain(name) for owner in self.own)

    def encloser(self, name: dns.name.Name) -> dns.name.Name:
        while not self.exists(name):
            name = name.parent()
        return name

    def answer(
        self, name: dns.name.Name, kind: RdataType
    ) -> tuple[list[dns.rrset.RRset], list[dns.rrset.RRset], bool, dns.name.Name | None]:
        """Answer, authority, whether the name does not exist, and where an alias leads."""
        for above in (name.split(depth)[1] for depth in range(len(self.name.labels) + 1, len(name.labels))):
            if (made := self.sets.get((above, DNAME))) is not None:
                target = name.relativize(above) + made[0].target
                alias = dns.rrset.from_text(name, 300, "IN", "CNAME", target.to_text())
                return [*self.with_signature(made, made.name), alias], [], False, target
        owner = name
        if not self.exists(name):
            wildcard = dns.name.Name([b"*"]) + self.encloser(name)
            if wildcard not in self.own:
                return [], self.denied(name, kind, exists=False), True, None
            owner = wildcard
        proof = self.expansion(name) if owner != name else []
        records = self.sets.get((owner, kind))
        if records is not None:
            return self.with_signature(records, name), proof, False, None
        alias_set = self.sets.get((owner, CNAME))
        if alias_set is not None:
            return self.with_signature(alias_set, name), proof, False, alias_set[0].target
        return [], self.denied(name, kind, exists=owner == name), False, None

    def with_signature(self, records: dns.rrset.RRset, name: dns.name.Name) -> list[dns.rrset.RRset]:
        found = [
            records,
            *([self.signatures[key]] if (key := (records.name, records.rdtype)) in self.signatures else []),
        ]
        return [_renamed(each, name) for each in found if len(each)]

    def proofs(self, names: Iterable[dns.name.Name]) -> list[dns.rrset.RRset]:
        """The NSEC or NSEC3 records that match or cover these names."""
        found: dict[dns.name.Name, dns.rrset.RRset] = {}
        for name in names:
            if self.plain:
                records = [each for owner, each in self.plain if owner <= name][-1]
            elif self.hashed:
                hashed = self.hash(name)
                below = [each for owner, each in self.hashed if owner <= hashed]
                records = below[-1] if below else self.hashed[-1][1]
            else:
                continue
            found[records.name] = records
        return [part for each in found.values() for part in self.with_signature(each, each.name)]

    def denied(self, name: dns.name.Name, kind: RdataType, *, exists: bool) -> list[dns.rrset.RRset]:
        soa = self.with_signature(self.sets[self.name, SOA], self.name)
        if self.plan.denial == "none":
            return soa
        if self.plan.denial == "other":
            return [*soa, *self.proofs([self.name])]
        names = [name]
        if not exists:
            above = self.encloser(name)
            names += [dns.name.Name([b"*"]) + above]
            names += [above, name.split(len(above.labels) + 1)[1]] if self.hashed else []
        elif self.hashed and self.hash(name) not in {owner for owner, _ in self.hashed}:
            above = name.parent()  # an unsigned delegation that opted out
            names = [above, name]
        proofs = self.proofs(names)
        if self.plan.denial == "unsigned":
            proofs = [each for each in proofs if each.rdtype != RRSIG]
            soa = soa[:1]
        return [*soa, *proofs]

    def expansion(self, name: dns.name.Name) -> list[dns.rrset.RRset]:
        if self.plan.wildcard == "none":
            return []
        return self.proofs([name.split(len(self.encloser(name).labels) + 1)[1]])


def _renamed(records: dns.rrset.RRset, name: dns.name.Name) -> dns.rrset.RRset:
    copy = dns.rrset.RRset(name, records.rdclass, records.rdtype, records.covers)
    copy.update(records)
    copy.ttl = records.ttl
    return copy


class World:
    """Zones from the root on, and what is asked of them."""

    def __init__(self, zones: Iterable[Zone]) -> None:
        self.zones = {zone.name: zone for zone in zones}
        for zone in self.zones.values():
            if zone.name != dns.name.root and (above := self.zone_of(zone.name, DS)) is not zone:
                above.delegate(zone)
        for zone in self.zones.values():
            zone.sign()
        self.failing: set[tuple[str, str]] = set()
        self.asked: list[tuple[str, str]] = []

    @property
    def anchors(self) -> Any:
        """DS records of the root's key."""
        return dns.rdataset.from_rdata_list(0, self.zones[dns.name.root].ds())

    def zone_of(self, name: dns.name.Name, kind: RdataType) -> Zone:
        above = name.parent() if kind == DS and name != dns.name.root else name
        while above not in self.zones:
            above = above.parent()
        return self.zones[above]

    def reply(self, query: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(query, recursion_available=True)
        reply.flags |= query.flags & dns.flags.CD
        question = query.question[0]
        name, kind = question.name, question.rdtype
        for _ in range(12):
            answer, authority, missing, target = self.zone_of(name, kind).answer(name, kind)
            reply.answer += [each for each in answer if each not in reply.answer]
            reply.authority += [each for each in authority if each not in reply.authority]
            reply.set_rcode(dns.rcode.NXDOMAIN if missing else dns.rcode.NOERROR)
            if target is None:
                break
            name = target
        return reply

    def files(self) -> list[tuple[str, bytes]]:
        """Master files of all zones, signatures included."""
        found = []
        for zone in self.zones.values():
            sets = [*zone.sets.values(), *[each for _, each in zone.plain], *[each for _, each in zone.hashed]]
            lines = [each.to_text() for each in (*sets, *zone.signatures.values()) if len(each)]
            name = zone.name.to_text()
            found.append((f"{zone.text}.zone", "\n".join([f"$ORIGIN {name}", *lines, ""]).encode()))
        return found

    # --- as a resolver ---------------------------------------------------------------------------------------------

    async def signed(self, name: str, rdtype: str) -> Signed | Failed:
        self.asked.append((name, rdtype))
        if (name, rdtype) in self.failing:
            return Failed(name, rdtype, Reason.TIMEOUT, VERBATIM(text="by the test"))
        query = dns.message.make_query(name, rdtype, want_dnssec=True)
        return Signed(name, rdtype, self.reply(query).to_wire(max_size=65535))

    async def query(self, name: str, rdtype: str) -> Answer:
        name = canonical(name)
        query = dns.message.make_query(name, rdtype)
        reply = self.reply(query)
        chain: list[str] = []
        owner = dns.name.from_text(name)
        kind = RdataType.make(rdtype)
        while True:
            for each in reply.answer:
                if each.name == owner and each.rdtype == kind:
                    values = tuple(value_text(data)[0] for data in each)
                    octets = tuple(value_text(data)[1] for data in each) if rdtype == "TXT" else ()
                    return Found(name, rdtype, values, 300, tuple(chain), octets)
            alias = next((each for each in reply.answer if each.name == owner and each.rdtype == CNAME), None)
            if alias is None:
                return Absent(name, rdtype, reply.rcode() == dns.rcode.NXDOMAIN, 300, tuple(chain))
            owner = alias[0].target
            chain.append(dns_name_text(owner))

    async def close(self) -> None:
        pass


def mail_world(plan: Plan, *, host: Plan | None = None, dane: bool = True) -> World:
    """example.com, signed as planned, whose MX host mx.example.net has TLSA records, signed as planned for `host`."""
    own = Zone("example.com", replace(plan, records=(*plan.records, "@ MX 10 mx.example.net.")), usual=False)
    tlsa = ("mx A 192.0.2.1", *(["_25._tcp.mx TLSA 3 1 1 " + "ab" * 32] if dane else []))
    other = host or Plan()
    hosts = Zone("example.net", replace(other, records=(*other.records, *tlsa)), usual=False)
    above = [Zone(name, usual=False) for name in (".", "com", "net")]
    return World([*above, own, hosts])


class Serving:
    """A server for a world, over UDP and TCP on loopback, in a thread of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._open_streams: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0
        self.count = 0

    def __enter__(self) -> Serving:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def octets(self, data: bytes, most: int) -> bytes:
        self.count += 1
        query = dns.message.from_wire(data)
        reply = self._world.reply(query)
        whole = reply.to_wire(max_size=65535)
        if len(whole) <= most:
            return whole
        short = dns.message.make_response(query, recursion_available=True)
        short.flags |= dns.flags.TC
        return short.to_wire()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._open())
        self._loop.run_forever()
        self._loop.close()

    async def _open(self) -> None:
        for _ in range(20):
            self._transport, _protocol = await self._loop.create_datagram_endpoint(
                lambda: _Datagrams(self), local_addr=("127.0.0.1", 0)
            )
            self.port = self._transport.get_extra_info("sockname")[1]
            try:
                self._server = await asyncio.start_server(self._stream, "127.0.0.1", self.port)
            except OSError:
                self._transport.close()
                continue
            break
        self._ready.set()

    async def _close(self) -> None:
        self._transport.close()
        self._server.close()
        for each in [*self._open_streams]:
            each.close()
            await each.wait_closed()

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open_streams.add(writer)
        try:
            while True:
                (size,) = struct.unpack("!H", await reader.readexactly(2))
                data = self.octets(await reader.readexactly(size), 65535)
                writer.write(struct.pack("!H", len(data)) + data)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open_streams.discard(writer)
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, owner: Serving) -> None:
        self._owner = owner

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._transport.sendto(self._owner.octets(data, 1232), addr)


def moment(days: float = 0) -> datetime:
    """A moment relative to that at which zones are signed."""
    return datetime.fromtimestamp(STARTED + days * DAY, UTC)
