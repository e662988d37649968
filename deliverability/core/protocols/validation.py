"""Validation with DNSSEC (RFC 4033-4035, 5155, 6840): the chain from the root to a record set, or to its absence.

What a resolver says it has validated (AD) is not believed: replies are asked for with their signatures and without the
resolver's own checks (CD), and the chain of keys from the trust anchor of data/root-anchors.txt on is checked here.
Signatures, digests and hashes are computed by dnspython.

Imports dnspython: only loaded where something is signed.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

import dns.dnssec
import dns.dnssectypes
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
from dns.rdataclass import IN
from dns.rdatatype import CNAME, DNAME, DNSKEY, DS, NS, NSEC, NSEC3, RRSIG, SOA, RdataType
from msgspec import Struct

from deliverability.core.codes import Code, Detail
from deliverability.core.errors import stop_if_interrupt
from deliverability.core.facts.base import Reason
from deliverability.core.files import PACKAGE
from deliverability.core.net.base import Failed, Signed
from deliverability.core.protocols.dnssec import DELEGATED, State, Verdict

ANCHORS = PACKAGE / "data" / "root-anchors.txt"
MAX_CHAIN = 10
MAX_ITERATIONS = 150
"""Of NSEC3; zones with more count as unsigned (RFC 9276 section 3.2), as with unbound and BIND."""
_MAX_SIGNATURES = 8  # that are checked of one record set
_MAX_KEYS = 24  # of one zone
_REMEMBERED = 256  # replies and signatures
_MAX_CHECKS = 400  # signatures checked for one subject in all: no zone costs more, whatever it publishes

EXPIRED = Code("dnssec-expired", ("name", "type", "day"))
NOT_YET = Code("dnssec-not-yet", ("name", "type", "day"))
WRONG = Code("dnssec-wrong", ("name", "type"))
UNSIGNED = Code("dnssec-no-signature", ("name", "type"))
NO_KEY = Code("dnssec-no-key", ("zone",))
NO_PROOF = Code("dnssec-no-proof", ("name", "type"))
TOO_MANY = Code("dnssec-too-many", ("zone",))
UNKNOWN_ALGORITHM = Code("dnssec-algorithm", ("zone",))
ITERATIONS = Code("dnssec-iterations", ("zone", "n"))
OPTED_OUT = Code("dnssec-opt-out", ("name",))
UNREADABLE = Code("dnssec-unreadable", ("name", "type"))

_ALGORITHMS = frozenset({5, 7, 8, 10, 13, 14, 15, 16})  # that dnspython and validating resolvers know
_SHA1, _SHA256, _SHA384 = 1, 2, 4
_NSEC3_SHA1 = 1
_ZONE_KEY, _REVOKED = 0x0100, 0x0080
_OPT_OUT = 1


Ask = Callable[[str, str], Awaitable[Signed | Failed]]
"""Ask for a type at a name with signatures, without the resolver's own validation."""

SECURE = Verdict(State.SECURE)
_WORST_FIRST = (State.BOGUS, State.INDETERMINATE, State.INSECURE, State.SECURE)


class _Zone(Struct, frozen=True):
    """A zone: whether its keys are trusted, and these keys in dnspython's form."""

    name: dns.name.Name
    verdict: Verdict
    keys: Any = None


@cache
def root_anchors() -> dns.rdataset.Rdataset:
    """The DS records of the root's keys in data/root-anchors.txt."""
    lines = [line for line in ANCHORS.read_text("ascii").splitlines() if line and not line.startswith("#")]
    return dns.rdataset.from_text("IN", "DS", 0, *(line.partition(" DS ")[2] for line in lines))


class Validator:
    """Validates answers, for one subject at one moment.

    Args:
        ask: gives replies with their signatures.
        now: the moment at which signatures must be valid.
        anchors: DS records of the root zone.

    """

    def __init__(self, ask: Ask, now: datetime, anchors: dns.rdataset.Rdataset | None = None) -> None:
        self._ask = ask
        self._now = int(now.timestamp())
        self._anchors = root_anchors() if anchors is None else anchors
        self._zones: dict[dns.name.Name, _Zone] = {}
        self._left = _MAX_CHECKS

    async def verdict(self, name: str, rdtype: str) -> Verdict:
        """Validate what there is of a type at a name: its records or their absence, CNAME on the way included."""
        kind = RdataType.make(rdtype)
        current = dns.name.from_text(name)
        reply = await self._reply(current, kind)
        so_far = SECURE
        for _ in range(MAX_CHAIN):
            if isinstance(reply, Verdict):
                return _worst(so_far, reply)
            records = _find(reply.answer, current, kind)
            if records is not None:
                return _worst(so_far, await self._records(reply, records))
            alias = _find(reply.answer, current, CNAME)
            if alias is None:
                return _worst(so_far, await self._absence(reply, current, kind))
            so_far = _worst(so_far, await self._records(reply, _source(reply, alias)))
            if so_far.state is State.BOGUS:
                return so_far
            current = alias[0].target
            ends = _find(reply.answer, current, kind) is None and _find(reply.answer, current, CNAME) is None
            if ends and not reply.authority:
                reply = await self._reply(current, kind)
        return _worst(so_far, Verdict(State.INDETERMINATE, UNREADABLE(name=name, type=rdtype)))

    async def _reply(self, name: dns.name.Name, kind: RdataType) -> dns.message.Message | Verdict:
        text, rdtype = _text(name), dns.rdatatype.to_text(kind)
        answer = await self._ask(text, rdtype)
        if isinstance(answer, Failed):
            return Verdict(State.INDETERMINATE, answer.question, answer.reason)
        message = _message(answer.octets)
        if message is None or message.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            return Verdict(State.INDETERMINATE, UNREADABLE(name=text, type=rdtype))
        return message

    # --- zones -----------------------------------------------------------------------------------------------------

    async def _zone(self, name: dns.name.Name) -> _Zone:
        """A zone whose name a signature or a delegation tells."""
        known = self._zones.get(name)
        if known is None:
            known = self._zones[name] = await self._look_at(name)
        return known

    async def _look_at(self, name: dns.name.Name) -> _Zone:
        if name == dns.name.root:
            root = await self._keys(name, self._anchors)
            # That the root zone is at fault is no finding: the resolver hands out no signatures, the root's keys are
            # newer than ours, our clock is wrong, or somebody has a root of his own.
            if root.verdict.state in (State.BOGUS, State.INSECURE):
                return _Zone(name, Verdict(State.INDETERMINATE, root.verdict.why, Reason.SERVFAIL))
            return root
        reply = await self._reply(name, DS)
        if isinstance(reply, Verdict):
            return _Zone(name, reply)
        records = _find(reply.answer, name, DS)
        if records is None:
            verdict = await self._absence(reply, name, DS)
            if verdict.state is State.SECURE:
                cut = _is_cut(reply.authority, name)
                verdict = (
                    Verdict(State.INSECURE, DELEGATED(zone=_text(name)))
                    if cut
                    else Verdict(State.BOGUS, NO_KEY(zone=_text(name)))
                )
            return _Zone(name, verdict)
        verdict = await self._records(reply, records)
        return await self._keys(name, records) if verdict.state is State.SECURE else _Zone(name, verdict)

    async def _keys(self, name: dns.name.Name, delegation: dns.rdataset.Rdataset) -> _Zone:
        """The keys of a zone, where one of those that its DS records name signs them."""
        zone = _text(name)
        usable = _usable(delegation)
        if not usable:
            return _Zone(name, Verdict(State.INSECURE, UNKNOWN_ALGORITHM(zone=zone)))
        reply = await self._reply(name, DNSKEY)
        if isinstance(reply, Verdict):
            return _Zone(name, reply)
        records = _find(reply.answer, name, DNSKEY)
        if records is None:
            return _Zone(name, Verdict(State.BOGUS, NO_KEY(zone=zone)))
        if len(records) > _MAX_KEYS:
            return _Zone(name, Verdict(State.BOGUS, TOO_MANY(zone=zone)))
        good = [key for key in records if key.flags & _ZONE_KEY and not key.flags & _REVOKED and key.protocol == 3]
        trusted = [key for key in good if any(_names(ds, name, key) for ds in usable)]
        if not trusted:
            return _Zone(name, Verdict(State.BOGUS, NO_KEY(zone=zone)))
        signatures = _signatures(reply, records)
        wrong = self._wrong(records, signatures, {name: dns.rdataset.from_rdata_list(0, trusted)}, name)
        if wrong is not None:
            return _Zone(name, Verdict(State.BOGUS, wrong))
        return _Zone(name, SECURE, {name: dns.rdataset.from_rdata_list(0, good)})

    async def _unsigned(self, name: dns.name.Name, kind: RdataType) -> Verdict:
        """What it means that something has no signature: looked at from the root down, until a zone is not secure."""
        zone = await self._zone(dns.name.root)
        labels = len(name.labels)
        # The zone above answers for DS.
        for depth in range(2, labels + (0 if kind == DS else 1)):
            if zone.verdict.state is not State.SECURE:
                return zone.verdict
            below = name.split(depth)[1]
            reply = await self._reply(below, DS)
            if isinstance(reply, Verdict):
                return reply
            if _find(reply.answer, below, DS) is not None:
                zone = await self._zone(below)
                continue
            if _find(reply.answer, below, CNAME) is not None:
                continue
            verdict = await self._absence(reply, below, DS, walked=True)
            if verdict.state is not State.SECURE:
                return verdict
            if _is_cut(reply.authority, below):
                return Verdict(State.INSECURE, DELEGATED(zone=_text(below)))
        if zone.verdict.state is not State.SECURE:
            return zone.verdict
        return Verdict(State.BOGUS, UNSIGNED(name=_text(name), type=dns.rdatatype.to_text(kind)))

    # --- records ---------------------------------------------------------------------------------------------------

    async def _records(self, reply: dns.message.Message, records: dns.rrset.RRset) -> Verdict:
        """Validate a record set of a reply."""
        owner, kind = records.name, records.rdtype
        signatures = _signatures(reply, records)
        signer = _signer(signatures, owner, kind)
        if signer is None:
            return await self._unsigned(owner, kind)
        zone = await self._zone(signer)
        if zone.verdict.state is not State.SECURE:
            return zone.verdict
        wrong = self._wrong(records, signatures, zone.keys, signer)
        if wrong is not None:
            return Verdict(State.BOGUS, wrong)
        labels = min(each.labels for each in signatures if each.signer == signer)
        if labels >= len(owner.labels) - 1 - owner.is_wild():
            return SECURE
        return self._expanded(reply, zone, records, labels)

    def _wrong(
        self, records: dns.rrset.RRset, signatures: Sequence[Any], keys: Any, signer: dns.name.Name
    ) -> Detail | None:
        """Why no signature of that zone over these records is valid; None where one is."""
        name, rdtype = _text(records.name), dns.rdatatype.to_text(records.rdtype)
        problem = UNSIGNED(name=name, type=rdtype)
        for each in [each for each in signatures if each.signer == signer][:_MAX_SIGNATURES]:
            if each.expiration < self._now:
                problem = EXPIRED(name=name, type=rdtype, day=_day(each.expiration))
                continue
            if each.inception > self._now:
                problem = NOT_YET(name=name, type=rdtype, day=_day(each.inception))
                continue
            self._left -= 1
            if self._left < 0:
                return TOO_MANY(zone=_text(signer))
            if _is_valid(records.name, tuple(records), each, signer, tuple(keys[signer])):
                return None
            problem = WRONG(name=name, type=rdtype)
        return problem

    # --- absence ---------------------------------------------------------------------------------------------------

    async def _absence(
        self, reply: dns.message.Message, name: dns.name.Name, kind: RdataType, *, walked: bool = False
    ) -> Verdict:
        """Validate that there is nothing of a type at a name. `walked`: everything above it is secure already."""
        denials = [each for each in reply.authority if each.rdtype in (NSEC, NSEC3) and each.rdclass == IN]
        signer = _signer(_signatures(reply, denials[0]), name, kind) if denials else None
        if signer is None:
            missing = UNSIGNED(name=_text(name), type=dns.rdatatype.to_text(kind))
            return Verdict(State.BOGUS, missing) if walked else await self._unsigned(name, kind)
        zone = await self._zone(signer)
        if zone.verdict.state is not State.SECURE:
            return zone.verdict
        for each in denials:
            wrong = self._wrong(each, _signatures(reply, each), zone.keys, signer)
            if wrong is not None:
                return Verdict(State.BOGUS, wrong)
        proof = _Proof(denials, signer)
        proven = proof.iterated or (
            proof.no_name(name) if reply.rcode() == dns.rcode.NXDOMAIN else proof.no_data(name, kind)
        )
        unproven = NO_PROOF(name=_text(name), type=dns.rdatatype.to_text(kind))
        return proven or Verdict(State.BOGUS, unproven)

    def _expanded(self, reply: dns.message.Message, zone: _Zone, records: dns.rrset.RRset, labels: int) -> Verdict:
        """Validate that a wildcard may stand in for a name: nothing is closer to it (RFC 4035 section 5.3.4)."""
        denials = [each for each in reply.authority if each.rdtype in (NSEC, NSEC3)]
        for each in denials:
            wrong = self._wrong(each, _signatures(reply, each), zone.keys, zone.name)
            if wrong is not None:
                return Verdict(State.BOGUS, wrong)
        proof = _Proof(denials, zone.name)
        proven = proof.iterated or proof.nothing_closer(records.name, labels + 1)
        name, rdtype = _text(records.name), dns.rdatatype.to_text(records.rdtype)
        return proven or Verdict(State.BOGUS, NO_PROOF(name=name, type=rdtype))


# Replies and signatures of the zones above are met again with every domain of a fleet.


@lru_cache(maxsize=_REMEMBERED)
def _message(octets: bytes) -> dns.message.Message | None:
    """The reply, which nobody changes; None for octets that are none."""
    try:
        return dns.message.from_wire(octets, ignore_trailing=True)
    except Exception as error:  # dnspython raises many kinds for hostile octets
        stop_if_interrupt(error)
        return None


@lru_cache(maxsize=_REMEMBERED)
def _is_valid(
    name: dns.name.Name, records: tuple[Any, ...], signature: Any, signer: dns.name.Name, keys: tuple[Any, ...]
) -> bool:
    """Whether a key made the signature over these records, whenever that was."""
    trusted: Any = {signer: dns.rdataset.from_rdata_list(0, keys)}
    try:
        whole = dns.rrset.from_rdata_list(name, signature.original_ttl, records)
        dns.dnssec.validate_rrsig(whole, signature, trusted, now=signature.inception)
    except Exception:  # whatever hostile octets trigger in dnspython: the signature is not valid
        return False
    return True


class _Proof:
    """What the NSEC or NSEC3 records of one reply, their signatures checked, prove about names of a zone."""

    def __init__(self, denials: Sequence[dns.rrset.RRset], zone: dns.name.Name) -> None:
        self._zone = zone
        self._plain = [(each.name, each[0]) for each in denials if each.rdtype == NSEC]
        hashed = [each for each in denials if each.rdtype == NSEC3 and each.name.parent() == zone]
        known = [(each, each[0]) for each in hashed if each[0].algorithm == _NSEC3_SHA1]
        self._hashed = [(each.name.labels[0].decode("ascii", "replace").upper(), data) for each, data in known]
        self._hashes: dict[dns.name.Name, str] = {}
        most = max((data.iterations for _, data in self._hashed), default=0)
        self.iterated: Verdict | None = None
        if most > MAX_ITERATIONS:
            self.iterated = Verdict(State.INSECURE, ITERATIONS(zone=_text(zone), n=most))
        elif hashed and not known and not self._plain:
            self.iterated = Verdict(State.INSECURE, UNKNOWN_ALGORITHM(zone=_text(zone)))

    def no_name(self, name: dns.name.Name) -> Verdict | None:
        """Secure where it is proven that the name does not exist, and no wildcard stands in for it."""
        if self._hashed:
            return self._no_name_hashed(name)
        cover = self._covering(name)
        if cover is None or cover[1].next.is_subdomain(name):
            return None
        wildcard = dns.name.Name([b"*"]) + _closest(name, *cover)
        return SECURE if self._covering(wildcard) else None

    def no_data(self, name: dns.name.Name, kind: RdataType) -> Verdict | None:
        """Secure where it is proven that the name has no records of the type."""
        if self._hashed:
            return self._no_data_hashed(name, kind)
        own = next((data for owner, data in self._plain if owner == name), None)
        if own is not None:
            return SECURE if _lacks(own, kind, name) else None
        cover = self._covering(name)
        if cover is None:
            return None
        if cover[1].next.is_subdomain(name):
            return SECURE  # an empty non-terminal
        wildcard = dns.name.Name([b"*"]) + _closest(name, *cover)
        there = next((data for owner, data in self._plain if owner == wildcard), None)
        return SECURE if there is not None and _lacks(there, kind, wildcard) else None

    def nothing_closer(self, name: dns.name.Name, labels: int) -> Verdict | None:
        """Secure where the name, expanded from a wildcard, does not exist itself.

        `labels`: of the next closer name, the root not counted.
        """
        if self._hashed:
            cover = self._covering_hash(name.split(labels + 1)[1])
            if cover is None:
                return None
            return Verdict(State.INSECURE, OPTED_OUT(name=_text(name))) if cover.flags & _OPT_OUT else SECURE
        return SECURE if self._covering(name) is not None else None

    # --- NSEC ------------------------------------------------------------------------------------------------------

    def _covering(self, name: dns.name.Name) -> tuple[dns.name.Name, Any] | None:
        """The record that shows that there is nothing between its owner and the next name, where the name would be."""
        for owner, data in self._plain:
            last = data.next == self._zone
            if not owner < name or not (name < data.next or last):
                continue
            kinds = _kinds(data)
            # What stands above a delegation or a DNAME says nothing of names below it.
            below = name.is_subdomain(owner) and name != owner
            if below and ((NS in kinds and SOA not in kinds) or DNAME in kinds):
                continue
            return owner, data
        return None

    # --- NSEC3 -----------------------------------------------------------------------------------------------------

    def _hash(self, name: dns.name.Name) -> str:
        known = self._hashes.get(name)
        if known is None:
            data = self._hashed[0][1]
            known = self._hashes[name] = dns.dnssec.nsec3_hash(name, data.salt, data.iterations, _NSEC3_SHA1)
        return known

    def _matching(self, name: dns.name.Name) -> Any:
        hashed = self._hash(name)
        return next((data for owner, data in self._hashed if owner == hashed), None)

    def _covering_hash(self, name: dns.name.Name) -> Any:
        hashed = self._hash(name)
        for owner, data in self._hashed:
            after = _base32(data.next)
            inside = owner < hashed < after if owner < after else hashed > owner or hashed < after
            if inside and owner != hashed:
                return data
        return None

    def _encloser(self, name: dns.name.Name) -> tuple[dns.name.Name, Any] | None:
        """The closest name above that is proven to exist, and the record that covers the next closer one."""
        if not name.is_subdomain(self._zone):
            return None
        for depth in range(len(name.labels) - 1, len(self._zone.labels) - 1, -1):
            above = name.split(depth)[1]
            there = self._matching(above)
            if there is None:
                continue
            kinds = _kinds(there)
            if DNAME in kinds or (NS in kinds and SOA not in kinds):
                return None
            cover = self._covering_hash(name.split(depth + 1)[1])
            return (above, cover) if cover is not None else None
        return None

    def _no_name_hashed(self, name: dns.name.Name) -> Verdict | None:
        if self._matching(name) is not None or (found := self._encloser(name)) is None:
            return None
        above, cover = found
        if self._covering_hash(dns.name.Name([b"*"]) + above) is None:
            return None
        if cover.flags & _OPT_OUT:
            return Verdict(State.INSECURE, OPTED_OUT(name=_text(name)))
        return SECURE

    def _no_data_hashed(self, name: dns.name.Name, kind: RdataType) -> Verdict | None:
        own = self._matching(name)
        if own is not None:
            return SECURE if _lacks(own, kind, name) else None
        found = self._encloser(name)
        if found is None:
            return None
        above, cover = found
        wildcard = dns.name.Name([b"*"]) + above
        there = self._matching(wildcard)
        if there is not None and not _lacks(there, kind, wildcard):
            return None
        if there is not None and not cover.flags & _OPT_OUT:
            return SECURE
        if cover.flags & _OPT_OUT:  # only unsigned delegations may be left out there
            return Verdict(State.INSECURE, OPTED_OUT(name=_text(name)))
        return None


def _kinds(data: Any) -> frozenset[int]:
    """The types that a bitmap lists."""
    return frozenset(
        window * 256 + octet * 8 + bit
        for window, bitmap in data.windows
        for octet, bits in enumerate(bitmap)
        for bit in range(8)
        if bits & 0x80 >> bit
    )


def _lacks(data: Any, kind: RdataType, name: dns.name.Name) -> bool:
    """A record at the very name shows that it has no such type, and is of the zone that would have it."""
    kinds = _kinds(data)
    if kind in kinds or CNAME in kinds:
        return False
    if kind == DS:
        return SOA not in kinds or name == dns.name.root
    return not (NS in kinds and SOA not in kinds)


def _closest(name: dns.name.Name, owner: dns.name.Name, data: Any) -> dns.name.Name:
    """The closest name that a covering NSEC record shows to exist."""
    depths = (name.fullcompare(each)[2] for each in (owner, data.next))
    return name.split(max(depths))[1]


def _is_cut(denials: Iterable[dns.rrset.RRset], name: dns.name.Name) -> bool:
    """Whether a proof that a name has no DS shows that it is delegated all the same."""
    for each in denials:
        if each.rdtype == NSEC and each.name == name:
            return NS in _kinds(each[0])
        if each.rdtype == NSEC3 and each[0].algorithm == _NSEC3_SHA1:
            data: Any = each[0]
            if data.iterations > MAX_ITERATIONS:
                continue
            hashed = dns.dnssec.nsec3_hash(name, data.salt, data.iterations, _NSEC3_SHA1)
            if each.name.labels[0].decode("ascii", "replace").upper() == hashed:
                return NS in _kinds(data)
    return False


def _usable(delegation: Iterable[Any]) -> list[Any]:
    """The DS records of algorithms and digests that we know; SHA-1 only where there is no better (RFC 4509)."""
    known = [each for each in delegation if each.algorithm in _ALGORITHMS]
    strong = [each for each in known if each.digest_type in (_SHA256, _SHA384)]
    return strong or [each for each in known if each.digest_type == _SHA1]


@lru_cache(maxsize=_REMEMBERED)
def _names(ds: Any, zone: dns.name.Name, key: Any) -> bool:
    """Whether a DS record is that of a key."""
    if ds.algorithm != key.algorithm or ds.key_tag != dns.dnssec.key_id(key):
        return False
    digest = dns.dnssectypes.DSDigest.make(ds.digest_type)
    made = dns.dnssec.make_ds(zone, key, digest, policy=dns.dnssec.allow_all_policy)
    return bool(made.digest == ds.digest)


def _find(section: Iterable[dns.rrset.RRset], name: dns.name.Name, kind: RdataType) -> dns.rrset.RRset | None:
    return next((each for each in section if each.rdtype == kind and each.name == name and each.rdclass == IN), None)


def _signatures(reply: dns.message.Message, records: dns.rrset.RRset) -> list[Any]:
    """The signatures over a record set that a reply holds."""
    return [
        signature
        for section in (reply.answer, reply.authority)
        for each in section
        if each.rdtype == RRSIG and each.covers == records.rdtype and each.name == records.name
        for signature in each
    ]


def _signer(signatures: Iterable[Any], name: dns.name.Name, kind: RdataType) -> dns.name.Name | None:
    """The zone that signs for a name, the closest one where several claim to; None where none can."""
    above = [each.signer for each in signatures if name.is_subdomain(each.signer)]
    if kind == DS:
        above = [each for each in above if each != name or name == dns.name.root]
    return max(above, key=lambda each: len(each.labels), default=None)


def _source(reply: dns.message.Message, alias: dns.rrset.RRset) -> dns.rrset.RRset:
    """What proves a CNAME: itself, or the signed DNAME that it is made from (RFC 6672 section 5.3.1)."""
    if _signatures(reply, alias):
        return alias
    for each in reply.answer:
        if each.rdtype == DNAME and alias.name.is_subdomain(each.name) and alias.name != each.name:
            made = alias.name.relativize(each.name) + each[0].target
            if made == alias[0].target:
                return each
    return alias


def _text(name: dns.name.Name) -> str:
    """A name as answers spell it."""
    return name.to_text(omit_final_dot=True).lower()


def _worst(*verdicts: Verdict) -> Verdict:
    return min(verdicts, key=lambda each: _WORST_FIRST.index(each.state))


def _day(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def _base32(octets: bytes) -> str:
    return base64.b32hexencode(octets).decode("ascii")
