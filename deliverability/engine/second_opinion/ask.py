"""Asks checkdmarc and dkimpy, off the event loop and within the time of the subject: their reading beside ours.

checkdmarc (SPF, DMARC, MTA-STS, TLS-RPT) asks DNS itself, and serially: it runs in a thread, and every question goes
over a bridge to our resolver. Its words are kept as they are but never read: what it means is told by the class of its
error.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import checkdmarc.dmarc
import checkdmarc.mta_sts
import checkdmarc.smtp_tls_reporting
import checkdmarc.spf
import checkdmarc.utils
import dkim
from msgspec import Struct

from deliverability.core.facts.base import FactSet, Unknown, Value
from deliverability.core.facts.dkim import Dkim, DkimSignature
from deliverability.core.facts.dmarc import Dmarc, DmarcDiscovery, DmarcReports
from deliverability.core.facts.domain import Domain
from deliverability.core.facts.spf import Spf, SpfIdentities, SpfOfDomain
from deliverability.core.facts.transport import MtaSts, TlsRpt
from deliverability.core.model.report import SecondOpinion, Unheard
from deliverability.core.model.topic import if_known
from deliverability.core.net.ports import Ports
from deliverability.engine.second_opinion.bridge import UNSURE, Bridge, BridgedNameserver, Points, bridged_resolver

_LONGEST_WORDS = 300


class _Theirs(Struct, frozen=True):
    """What checkdmarc says of one record set: a status, what it read, and the error where there is one."""

    status: str
    read: Mapping[str, Any]
    error: Exception | None = None

    @property
    def words(self) -> str:
        return str(self.error)[:_LONGEST_WORDS] if self.error else ""


def compare_records(facts: FactSet, bridge: Bridge, points: Points) -> None:
    """Everything that checkdmarc has an opinion on. Not in two threads at once: its cache is the process's."""
    with _asking(bridge) as how:
        for each in if_known(facts.of(SpfIdentities).identities) or ():
            _heard(points, bridge, "spf", each.domain, partial(_spf, each, how, points, bridge))
        if isinstance(domain := facts.of(DmarcDiscovery).author_domain, str) and domain:
            _heard(points, bridge, "dmarc", domain, partial(_dmarc, facts, domain, how, points, bridge))
        subject = if_known(facts.of(Spf).domain) or ""
        parsers = (
            ("mta-sts", facts.of(MtaSts), checkdmarc.mta_sts.parse_mta_sts_record),
            ("tls-rpt", facts.of(TlsRpt), checkdmarc.smtp_tls_reporting.parse_smtp_tls_reporting_record),
        )
        for topic, stated, parse in parsers:
            record, errors = if_known(stated.record), stated.errors
            if record and not isinstance(errors, Unknown):
                _heard(points, bridge, topic, subject, partial(_small, topic, subject, record, errors, parse, points))


@contextlib.contextmanager
def _asking(bridge: Bridge) -> Iterator[dict[str, Any]]:
    """How checkdmarc's functions are called: our answers only, and nothing left in caches or on stderr."""
    log = logging.getLogger("checkdmarc")
    level = log.level
    log.setLevel(logging.CRITICAL)
    checkdmarc.utils.DNS_CACHE.clear()
    try:
        # Some of its functions pass on only the name servers (exp= of SPF), most only the resolver.
        yield {"resolver": bridged_resolver(bridge), "nameservers": [BridgedNameserver(bridge)]}
    finally:
        checkdmarc.utils.DNS_CACHE.clear()
        log.setLevel(level)


def _heard(points: Points, bridge: Bridge, topic: str, subject: str, work: Callable[[], None]) -> None:
    """Compare, unless the record is too long to be handed on, or checkdmarc breaks on it."""
    bridge.failed = bridge.cut = False
    try:
        work()
    except Exception:
        points.not_heard(topic, subject, "crash")


def _unheard(points: Points, bridge: Bridge, topic: str, subject: str, ours: str, theirs: str) -> bool:
    """Whether it says something else for want of answers on which ours does not rest."""
    if bridge.cut:
        points.not_heard(topic, subject, "size")
    elif bridge.failed and UNSURE != ours != theirs:
        points.not_heard(topic, subject, "dns")
    else:
        return False
    return True


def _spf(ours: SpfOfDomain, how: Mapping[str, Any], points: Points, bridge: Bridge) -> None:
    domain = ours.domain
    status = _spf_status(ours)
    theirs = _their_spf(domain, how)
    if _unheard(points, bridge, "spf", domain, status, theirs.status):
        return
    reason = _spf_reason(ours, status, theirs)
    same = points.compare("spf", domain, "status", status, theirs.status, reason, theirs.words)
    if not same or theirs.status != "valid":
        return
    lookups, void = ours.lookups, ours.void_lookups
    record = if_known(ours.record) or ""
    if isinstance(lookups, int):
        reason = "spf-macro-target" if any(map(_has_macro_target, record.split())) else None
        points.compare("spf", domain, "lookups", lookups, theirs.read["dns_lookups"], reason)
    if isinstance(void, int):
        counted = int(theirs.read["void_dns_lookups"])
        points.compare("spf", domain, "void-lookups", void, counted, _void_reason(ours, void, counted))
    if theirs.read["parsed"]["redirect"] is None and not isinstance(ours.all, Unknown):
        names = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral", None: "neutral"}
        mine = names[ours.all]
        points.compare("spf", domain, "all", mine, theirs.read["parsed"]["all"], None)


def _has_macro_target(term: str) -> bool:
    """Whether its target is only known once its macros are expanded; some are the same for every mail."""
    places = [term.lower().find(each) for each in ("include:", "redirect=")]
    return any(place >= 0 and "%{" in term[place:] for place in places)


def _has_slash(term: str) -> bool:
    """Whether a slash in its name does not begin a prefix length."""
    named = _NAME_BEGINS.search(term)
    if named is None:
        return False
    _, slash, rest = term[named.end() - 1 :].partition("/")
    return any(not (each.isdecimal() or each == "/") for each in rest) if slash else False


_NAME_BEGINS = re.compile(r"[:=][^/]")


def _spf_status(ours: SpfOfDomain) -> str:
    present, valid = ours.present, ours.valid
    if isinstance(present, Unknown):
        return UNSURE
    if not present:
        return "none"
    if isinstance(valid, Unknown):
        return UNSURE
    return "valid" if valid else "permerror"


def _their_spf(domain: str, how: Mapping[str, Any]) -> _Theirs:
    try:
        found = checkdmarc.spf.query_spf_record(domain, **how)
    except checkdmarc.spf.SPFRecordNotFound as error:
        return _Theirs("none" if isinstance(error.error, str) else UNSURE, {}, error)
    except checkdmarc.spf.SPFError as error:
        return _Theirs("permerror", {}, error)
    try:
        return _Theirs("valid", checkdmarc.spf.parse_spf_record(found["record"], domain, **how))
    except checkdmarc.spf.SPFError as error:
        return _Theirs("permerror", {}, error)


def _spf_reason(ours: SpfOfDomain, status: str, theirs: _Theirs) -> str | None:
    record, error = (if_known(ours.record) or ""), theirs.error
    match status, theirs.status:
        case "temperror", _:
            return "spf-temperror"
        case "valid", "permerror" if isinstance(error, checkdmarc.spf.SPFSyntaxError):
            if not record.startswith("v=spf1"):
                return "spf-version-case"
            return "spf-slash-in-name" if any(map(_has_slash, record.split())) else None
        case "valid", "permerror" if isinstance(error, checkdmarc.spf.SPFTooManyVoidDNSLookups):
            return "spf-void-ptr" if ours.uses_ptr is True else None
        case "permerror", "valid":
            if len(if_known(ours.records) or ()) > 1:
                return "spf-same-record-twice"
            if if_known(ours.syntax_errors) or ():
                return "spf-syntax-anywhere"
            void = ours.void_lookups
            return _void_reason(ours, void, theirs.read["void_dns_lookups"]) if isinstance(void, int) else None
    return None


def _void_reason(ours: SpfOfDomain, void: int, counted: int) -> str | None:
    """Why checkdmarc counts more void look-ups than we (only ptr makes it do that), or fewer."""
    if counted > void:
        return "spf-void-ptr" if ours.uses_ptr is True else None
    return "spf-void-terms"


def _dmarc(facts: FactSet, domain: str, how: Mapping[str, Any], points: Points, bridge: Bridge) -> None:
    status = _dmarc_status(facts)
    theirs = _their_dmarc(domain, how)
    if _unheard(points, bridge, "dmarc", domain, status, theirs.status):
        return
    reason = _dmarc_reason(facts, domain, status, theirs, how)
    same = points.compare("dmarc", domain, "status", status, theirs.status, reason, theirs.words)
    if not same or status != "valid":
        return
    tags = {name: tag["value"] if tag["explicit"] else None for name, tag in theirs.read["tags"].items()}
    defaults = {name: tag["value"] for name, tag in theirs.read["tags"].items()}
    pairs: tuple[tuple[str, Value, Value], ...] = (
        ("location", facts.of(Dmarc).location, theirs.read["location"]),
        ("p", facts.of(Dmarc).policy or None, defaults["p"]),
        ("sp", facts.of(Dmarc).subdomain_policy, tags["sp"]),
        ("np", facts.of(Dmarc).nonexistent_policy, tags["np"]),
        ("adkim", facts.of(Dmarc).adkim, defaults["adkim"]),
        ("aspf", facts.of(Dmarc).aspf, defaults["aspf"]),
        ("t", "y" if facts.of(Dmarc).testing is True else "n", defaults["t"]),
        ("rua", (if_known(facts.of(DmarcReports).rua) or ()), _addresses(tags.get("rua"))),
    )
    for aspect, mine, other in pairs:
        points.compare("dmarc", domain, aspect, mine, other, None)


def _addresses(uris: Any) -> tuple[str, ...]:
    return tuple(
        f"{uri['scheme']}:{uri['address']}" if uri["scheme"] == "mailto" else uri["address"] for uri in uris or ()
    )


def _dmarc_status(facts: FactSet) -> str:
    present = facts.of(Dmarc).present
    if isinstance(present, Unknown):
        return UNSURE
    if present:
        return "valid"
    if facts.of(Dmarc).ignored_at is not None:
        return "permerror"
    return "several" if if_known(facts.of(DmarcDiscovery).multiple_at) else "none"


def _their_dmarc(domain: str, how: Mapping[str, Any], **options: bool) -> _Theirs:
    try:
        found = checkdmarc.dmarc.query_dmarc_record(domain, **how, **options)
        # It would ask about every report address, hundreds of them in a hostile record, and only warn.
        nobody = bridged_resolver(None)
        parsed = checkdmarc.dmarc.parse_dmarc_record(found["record"], found["location"], resolver=nobody, **options)
    except checkdmarc.dmarc.DMARCRecordNotFound as error:
        return _Theirs("none", {}, error)
    except checkdmarc.dmarc.MultipleDMARCRecords as error:
        return _Theirs("several", {}, error)
    except checkdmarc.dmarc.DMARCError as error:
        return _Theirs(UNSURE if type(error) is checkdmarc.dmarc.DMARCError else "permerror", {}, error)
    return _Theirs("valid", {"location": found["location"], "tags": parsed["tags"]})


def _dmarc_reason(facts: FactSet, domain: str, status: str, theirs: _Theirs, how: Mapping[str, Any]) -> str | None:
    error = theirs.error
    if isinstance(error, checkdmarc.dmarc.UnrelatedTXTRecordFoundAtDMARC):
        # Whether it says the same without them is asked, not guessed.
        without = _their_dmarc(domain, how, ignore_unrelated_records=True)
        return "dmarc-unrelated" if without.status == status else None
    match status, theirs.status:
        case "valid", "permerror":
            dmarc, reports = facts.of(Dmarc), facts.of(DmarcReports)
            wrong = any(map(if_known, (dmarc.errors, reports.invalid_uris, dmarc.unknown_tags)))
            return "dmarc-rest-counts" if wrong else None
        case "permerror", "valid":
            return "dmarc-no-policy"
        case "valid", "none" if facts.of(Domain).exists is False:
            return "dmarc-nonexistent"
    return None


def _small(topic: str, subject: str, record: str, errors: Value, parse: Callable[[str], Any], points: Points) -> None:
    """A record that is valid or not, and holds nothing that could be counted."""
    theirs = _Theirs("valid", {})
    try:
        parse(record)
    except (checkdmarc.mta_sts.MTASTSError, checkdmarc.smtp_tls_reporting.SMTPTLSReportingError) as error:
        theirs = _Theirs("permerror", {}, error)
    points.compare(topic, subject, "status", "permerror" if errors else "valid", theirs.status, None, theirs.words)


MAX_OCTETS = 20_000_000
"""Octets of a message that is handed on."""

MAX_COST = 50_000_000
"""Steps that dkimpy's patterns may take over blanks: it needs the square of the length of each run of them."""

_BLANKS = re.compile(rb"[\t ]{64,}|(?:\r?\n){64,}")


def compare_signatures(facts: FactSet, message: bytes, bridge: Bridge, points: Points) -> None:
    """Each signature that was verified, by dkimpy as well."""
    signatures = if_known(facts.of(Dkim).signatures) or ()
    if not signatures:
        return
    if len(message) > MAX_OCTETS or sum(len(run) ** 2 for run in _BLANKS.findall(message)) > MAX_COST:
        points.not_heard("dkim", "", "size")
        return
    logger = logging.getLogger("deliverability.opinion.dkimpy")
    logger.setLevel(logging.CRITICAL)
    for index, ours in enumerate(signatures):
        subject = f"{ours.domain or '?'}/{ours.selector or '?'}"
        bridge.failed = bridge.cut = False
        result = ours.result
        status = UNSURE if isinstance(result, Unknown) else "pass" if result == "pass" else "fail"
        if isinstance(result, Unknown) and result.reason.value == "limit":
            return
        theirs, words = _verified(message, index, bridge, logger)
        if bridge.cut:
            points.not_heard("dkim", subject, "size")
        elif bridge.failed and status != UNSURE:
            points.not_heard("dkim", subject, "dns")
        else:
            points.compare("dkim", subject, "result", status, theirs, _reason(ours, status), words)


def _verified(message: bytes, index: int, bridge: Bridge, logger: logging.Logger) -> tuple[str, str]:
    """What dkimpy says of one signature, and its words where it raised an error."""

    def key(name: bytes | str, timeout: float = 5) -> bytes | None:
        text = name.decode("ascii") if isinstance(name, bytes) else name
        found = bridge.texts(text.rstrip("."))
        return found[0] if found else None

    try:
        passed = dkim.DKIM(message, logger=logger).verify(index, dnsfunc=key)
    except Exception as error:  # it checks little before it uses it
        return "fail", f"{type(error).__name__}: {error}"[:_LONGEST_WORDS]
    if bridge.failed:
        return UNSURE, ""
    return ("pass" if passed else "fail"), ""


def _reason(ours: DkimSignature, status: str) -> str | None:
    """Why dkimpy passes what we do not, or the other way round."""
    if status == "pass":
        # It was valid when the message came; dkimpy knows only the time of day.
        return "dkim-expiry" if ours.expires is not None and ours.expires < time.time() else None
    if ours.reason == "malformed" and ours.body_length_limit is not None:
        return "dkim-length"
    if ours.reason == "key-mismatch" and ours.key_allows is not False:
        return None
    return _OURS_ALONE.get(ours.reason) if isinstance(ours.reason, str) else None


# Reasons for which we do not let a signature pass that dkimpy knows nothing of.
_OURS_ALONE = {
    "sha1": "dkim-sha1",
    "key-mismatch": "dkim-key-tags",
    "key-multiple": "dkim-key-multiple",
    "from-not-signed": "dkim-from",
    "expired": "dkim-expiry",
}


async def second_opinion(facts: FactSet, message: bytes | None, ports: Ports) -> SecondOpinion:
    """Where checkdmarc and dkimpy differ from the facts, on the answers of `ports` and the octets of `message`.

    What is left of the time of the subject is the time they get.
    """
    loop, budget = asyncio.get_running_loop(), ports.budget
    bridge = Bridge(ports.dns, loop, budget.seconds)
    try:
        found = await budget.within(loop.run_in_executor(_thread(), _asked, facts, message, bridge))
    finally:
        bridge.close()
    # What was said when the time ran out rests on look-ups that failed for that alone.
    return SecondOpinion(0, unheard=(Unheard("", "", "time"),)) if found is None or budget.spent else found


@functools.cache
def _thread() -> ThreadPoolExecutor:
    """One thread for the process: checkdmarc keeps one cache for all that it is asked, whoever answers."""
    return ThreadPoolExecutor(1, thread_name_prefix="second-opinion")


def _asked(facts: FactSet, message: bytes | None, bridge: Bridge) -> SecondOpinion:
    # Imported here: 0.3 s that nobody else has to wait for.
    points = Points()
    compare_records(facts, bridge, points)
    if message is not None:
        compare_signatures(facts, message, bridge, points)
    return points.opinion()
