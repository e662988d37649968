"""Drafts of SPF records that mend SPF findings: the smallest edit of the domain's own record.

Reads facts, asks nobody.

All drafts for one domain form a chain: each is a whole new record and holds what the drafts before it do, first what
changes nothing for anybody who may send today (SAFE), then what needs a look first (CAREFUL), at the end flattening
(LAST_RESORT). So they can be published one after the other, up to where the user agrees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_network

from deliverability.core.codes import Detail
from deliverability.core.facts.base import Value
from deliverability.core.facts.domain import Domain, MessageSender, Ownership
from deliverability.core.facts.domain import Senders as SendersFacts
from deliverability.core.facts.envelope import Envelope
from deliverability.core.facts.spf import Spf, SpfIdentities, SpfStatus
from deliverability.core.model.report import Care, RecordEdit, Remedy
from deliverability.core.model.rules import Confidence
from deliverability.core.model.services import Include, ServiceKind
from deliverability.core.model.topic import if_known
from deliverability.core.names import is_address, is_example, ranges_of, unreachable, unreachable_among
from deliverability.core.protocols.spf.record import BadTerm, Mechanism, Modifier, parse
from deliverability.core.protocols.spf.repair import Repaired, repair, term_of
from deliverability.engine.remedies.records import RemedyName, Situation
from deliverability.engine.remedies.records import published as published_at
from deliverability.engine.remedies.spf_facts import (
    MAX_LOOKUPS,
    SpfFacts,
    Words,
    before_modifiers,
    collapsed,
    dead_terms,
    end_of,
    has_redirect,
    ip_word,
    is_term,
    key_of,
    lets_pass,
    names_sender,
    plain_include,
    replaced,
    shortened,
    without,
)
from deliverability.engine.remedies.spf_lookups import lookups_short, repeated, save_lookups, without_covered
from deliverability.engine.remedies.spf_passing import Chain, Earlier

MAX_ANSWER_OCTETS = 1232
"""An answer up to this size fits into one packet with EDNS wherever mail goes (DNS flag day 2020)."""
HUGE_IP4 = 1 << 24
HUGE_IP6 = 16
"""A term that allows so many IPv4 addresses, or an IPv6 range so wide, is no list of senders."""
_CLOSED = "v=spf1 -all"

_FOR_LOOKUPS: tuple[RemedyName, ...] = ("spf-fewer-lookups", "spf-drop-spare")


def drafts(given: Situation) -> tuple[Remedy, ...]:
    """Draft records for the unmet SPF findings, in the order in which to publish them; empty where none can help.

    Nothing is drafted on guesses: where DNS did not tell what is published, there is no draft.
    """
    facts = given.facts
    spf = SpfFacts(facts, given.findings, given.services)
    if not spf.domain or facts.of(Spf).present not in (True, False) or not spf.unmet_items:
        return ()
    place = published_at(facts, spf.domain, "TXT")
    if place is not None and place.name != spf.domain:
        # Beside a CNAME stands nothing else, and the record behind it is about the name there: its a and mx are.
        return ()
    published = if_known(facts.of(Spf).records) or ()
    meant = if_known(facts.of(Spf).lookalikes) or ()
    if spf.wants("spf-park"):
        return _closed(spf, (*published, *meant), "spf-park", Care.SAFE)
    if published:
        chain = _of_published(spf, published, given.earlier)
    elif meant and spf.wants("spf-recognise", "spf-publish"):
        chain = _of_lookalikes(spf, meant)
    else:
        return _first_record(spf)
    if chain is not None:
        _careful_steps(chain)
    found = tuple(chain.remedies) if chain else ()
    # A step before it may not stand its rehearsal; the end of the record is then drafted without that step.
    if spf.wants("spf-add-all") and published and (plain := _of_published(spf, published, given.earlier)):
        _set_end(plain)
        found += tuple(each for each in plain.remedies if each not in found)
    if spf.wants("spf-park-unused") and not _names_senders(published or meant):
        found += _closed(spf, published or meant, "spf-park-unused", Care.CAREFUL)
    return found


def _closed(spf: SpfFacts, old: tuple[str, ...], remedy: RemedyName, care: Care) -> tuple[Remedy, ...]:
    """The record of a domain that sends nothing."""
    finding = spf.worst([remedy])
    if finding is None or old == (_CLOSED,):
        return ()
    edit = RecordEdit(spf.domain, "TXT", old, (_CLOSED,))
    return (Remedy(finding.rule, finding.item, remedy, {"domain": spf.domain}, (edit,), care),)


def _names_senders(records: Iterable[str]) -> bool:
    """Whether a record names something that sends: more than the domain's own a and mx, which come with templates."""
    for text in records:
        part = repair(text)
        if part is None or any(
            word.lower().lstrip("+") not in ("a", "mx") for word in part.words if names_sender(word)
        ):
            return True
    return False


def _first_record(spf: SpfFacts) -> tuple[Remedy, ...]:
    """A record for a domain without one, of what is known to send: the addresses given and the mail hosts."""
    if spf.wants("spf-park-unused"):
        return _closed(spf, (), "spf-park-unused", Care.CAREFUL)
    finding = spf.worst(["spf-publish"])
    if finding is None:
        return ()
    words = _known_senders(spf)
    if not words:
        return ()
    text = " ".join(("v=spf1", *words, "~all"))
    values: Mapping[str, Value] = {"domain": spf.domain, "terms": words}
    edit = RecordEdit(spf.domain, "TXT", (), (text,))
    return (Remedy(finding.rule, finding.item, "spf-publish", values, (edit,), Care.CAREFUL),)


def _known_senders(spf: SpfFacts) -> Words:
    """Terms for what is known to send: own mail hosts, the services of the mailboxes and of the message, addresses."""
    words: list[str] = []
    hosts = if_known(spf.facts.of(Domain).mx) or ()
    # Somebody else's MX hosts take mail in; what sends for their customers has other addresses.
    own = hosts and all(f".{host.lower()}".endswith(f".{spf.domain}") for host in hosts)
    if own and spf.facts.of(Domain).accepts_mail is True:
        words.append("mx")
    words += [f"include:{host}" for ident in _receiving(spf) if (host := _include_of(spf, ident))]
    words += [ip_word(ip) for ip in _own_addresses(spf) if not unreachable_among((ip,), example=is_example(spf.domain))]
    sender = _include_of(spf, if_known(spf.facts.of(MessageSender).message_service) or "")
    words += [f"include:{sender}"] if sender else []
    return tuple(dict.fromkeys(words))


def _receiving(spf: SpfFacts) -> tuple[str, ...]:
    """Catalogue names of the services that take the domain's mail."""
    services = if_known(spf.facts.of(SendersFacts).services) or ()
    return tuple(each.id for each in services if each.receives is True)


def _include_of(spf: SpfFacts, ident: str) -> str | None:
    """The host that a service asks to be included at the From domain; None where that is not known for sure."""
    service = spf.services.get(ident)
    if service is None or service.confidence is not Confidence.HIGH:
        return None
    hosts = [pattern.text for pattern in service.spf if not pattern.expression]
    # Mailboxes at a web host send with the domain as Return-Path; which of several hosts is right, only it can say.
    hosted = service.include is None and service.kind is ServiceKind.HOSTING and len(service.spf) == 1
    return hosts[0] if hosts and (service.include is Include.NEEDED or hosted) else None


def _own_addresses(spf: SpfFacts) -> tuple[str, ...]:
    """The sending addresses that the user named; one read from a message may be a forwarder's."""
    if spf.facts.of(Envelope).ip_source != "option":
        return ()
    given = if_known(spf.facts.of(Envelope).ip) or ""
    named = dict.fromkeys(ip for ip, _ in spf.sending())
    return tuple(named) or ((given,) if is_address(given) else ())


def _of_lookalikes(spf: SpfFacts, meant: tuple[str, ...]) -> Chain | None:
    """The record that was meant, where each of the values can be read; it begins to count, so with care."""
    parts = [repair(text) for text in meant]
    read = [part for part in parts if part is not None]
    if not read or len(read) != len(parts):
        return None
    words = _merged(read)
    if words is None:
        return None
    chain = Chain(spf, meant, "v=spf1", (), meant, least=Care.CAREFUL)
    chain.step("spf-recognise", ("spf-recognise", "spf-publish"), words, meant)
    chain.show(Care.CAREFUL)
    return chain if chain.remedies else None


def _of_published(spf: SpfFacts, published: tuple[str, ...], earlier: Earlier | None) -> Chain | None:
    """The chain up to its SAFE remedy: what is wrong or useless goes, who may send today still may."""
    parts = [part for text in published if (part := repair(text)) is not None]
    if len(parts) != len(published):
        return None
    first = parts[0]
    # Of several records none is the one that is edited.
    words = tuple(word for word in published[0][6:].split(" ") if word) if len(published) == 1 else ()
    chain = Chain(spf, published, first.version, words, published, earlier=earlier)
    if len(published) > 1:
        merged = _merged(parts)
        if merged is None:
            return None
        unread = [each for part in parts for each in part.fixed]
        chain.step("spf-merge", ("spf-merge", *(("spf-fix-syntax",) if unread else ())), merged, published)
    elif spf.wants("spf-fix-syntax", "spf-add-sender"):
        chain.step("spf-fix-syntax", ("spf-fix-syntax", "spf-add-sender"), first.words, first.fixed)
    _safe_steps(chain)
    if spf.wants("spf-split") and not chain.pending:
        # The same text in shorter strings: whoever writes the record down cuts it.
        chain.pending.append(("spf-split", ("spf-split",), ()))
        chain.shown = ()
    if not (_only_lookups(chain) and lookups_short(chain)):
        chain.show(Care.SAFE)
    return chain


def _merged(parts: Sequence[Repaired]) -> Words | None:
    """The mechanisms of all records in order, each once, one `all`; None where their order cannot be told.

    The records are void side by side. `-all` stays where all of them say so, else it is the milder ~all: that a
    record is stricter than its owner knows costs mail, and DMARC refuses forged mail in both cases.
    """
    if len(parts) == 1:
        return parts[0].words
    senders: dict[object, str] = {}
    modifiers: dict[str, str] = {}
    redirects: list[Modifier] = []
    ends: list[str] = []
    for part in parts:
        record = parse(" ".join(("v=spf1", *part.words)))
        if record.errors:
            return None
        for term in record.terms:
            if isinstance(term, Modifier):
                if term.name == "redirect":
                    redirects.append(term)
                else:
                    modifiers.setdefault(term.name, term.text)
            elif isinstance(term, Mechanism) and term.name == "all":
                ends.append(term.qualifier)
            elif isinstance(term, Mechanism):
                if term.qualifier != "+":
                    return None
                senders.setdefault(key_of(term), term.text)
    targets = {term.value.lower(): term for term in redirects}
    if len(targets) == 1 and not ends and len(redirects) == len(parts):
        return (*senders.values(), *modifiers.values(), redirects[0].text)
    for term in targets.values():
        word = f"include:{term.value}"
        senders.setdefault(key_of(term_of(word)), word)
    end = "-all" if ends and set(ends) == {"-"} and not redirects else "~all"
    return (*senders.values(), end, *modifiers.values())


# -- steps that take nothing from anybody who may send today ----------------------------------------------------------


def _safe_steps(chain: Chain) -> None:
    spf = chain.spf
    if spf.wants("spf-drop-dead"):
        versions = [index for index, word in enumerate(chain.words) if word.lower().startswith("v=spf1")]
        dead = sorted((*dead_terms(chain.words), *versions))
        chain.step(
            "spf-drop-dead", ("spf-drop-dead",), without(chain.words, dead), (chain.words[index] for index in dead)
        )
    statuses: dict[RemedyName, tuple[SpfStatus, ...]] = {
        "spf-drop-loop": (SpfStatus.LOOP,),
        "spf-drop-broken": (SpfStatus.BROKEN,),
        "spf-drop-void": (SpfStatus.VOID, SpfStatus.INVALID_NAME),
    }
    for remedy, wanted in statuses.items():
        if spf.wants(remedy):
            useless = [index for index, word in enumerate(chain.words) if spf.status(word) in wanted]
            names = [chain.words[index] for index in useless]
            _drop(chain, remedy, (remedy,), useless, names)
    if spf.wants("spf-fewer-lookups", "spf-drop-spare", "spf-drop-covered"):
        spare = repeated(spf, chain.words)
        _drop(
            chain,
            "spf-drop-spare",
            ("spf-fewer-lookups", "spf-drop-spare", "spf-drop-covered"),
            spare,
            [chain.words[index] for index in spare],
        )
    if spf.wants("spf-shorten"):
        words = shortened(chain.words)
        octets = spf.facts.of(Spf).answer_octets
        saved = sum(map(len, chain.old)) - len(" ".join((chain.version, *words)))
        # A record that stays too long is not worth a change.
        if isinstance(octets, int) and octets - saved <= MAX_ANSWER_OCTETS:
            chain.step("spf-shorten", ("spf-shorten",), words, [word for word in chain.words if word not in words])


def _only_lookups(chain: Chain) -> bool:
    """Whether all that was done so far is for the number of look-ups."""
    wanted = {each for _, remedies, _ in chain.pending for each in remedies if chain.spf.wants(each)}
    return wanted <= set(_FOR_LOOKUPS)


def _drop(
    chain: Chain, code: str, remedies: tuple[RemedyName, ...], indexes: Sequence[int], names: Sequence[str]
) -> None:
    """Take terms away; where a redirect goes and no `all` is there, ~all takes its place."""
    words = without(chain.words, indexes)
    had, left = has_redirect(chain.words), has_redirect(words)
    if had and not left and end_of(words) is None:
        words = (*words, "~all")
    chain.step(code, remedies, words, names)


# -- steps that change who may send, or that have to be kept up -------------------------------------------------------


def _careful_steps(chain: Chain) -> None:
    """Each step that some finding asks for becomes a remedy of its own."""
    _drop_unreadable(chain)
    _move_dead(chain)
    _close_open(chain)
    _name_senders(chain)
    _replace_ptr(chain)
    _add_senders(chain)
    _narrow(chain)
    _drop_faulty(chain)
    _list_many_hosts(chain)
    if chain.spf.wants("spf-fewer-lookups", "spf-drop-spare"):
        save_lookups(chain)
    if chain.spf.wants("spf-drop-covered"):
        words, gone = without_covered(chain, chain.words, 0)
        if chain.step("spf-drop-covered", ("spf-drop-covered",), words, gone):
            chain.show(Care.CAREFUL)
    # What the record says of other servers only counts once it can be evaluated.
    _set_end(chain)


def _drop_unreadable(chain: Chain) -> None:
    """Terms that nobody can make sense of: they let nobody pass, and keep everybody else from passing."""
    if not chain.spf.wants("spf-fix-syntax"):
        return
    bad = [index for index, word in enumerate(chain.words) if isinstance(term_of(word), BadTerm)]
    names = [chain.words[index] for index in bad]
    if chain.step("spf-drop-unreadable", ("spf-fix-syntax",), without(chain.words, bad), names):
        chain.show(Care.CAREFUL)


def _move_dead(chain: Chain) -> None:
    """Senders that stand where nobody looks come in front of `all`; a redirect beside `all` becomes an include."""
    if not chain.spf.wants("spf-drop-dead") or len(chain.old) != 1:
        return
    given = tuple(word for word in chain.old[0][6:].split(" ") if word)
    present = {key_of(term_of(word)) for word in chain.words}
    moved: list[str] = []
    for index in dead_terms(given):
        term = term_of(given[index])
        word = f"include:{term.value}" if isinstance(term, Modifier) else given[index]
        usable = isinstance(term, Modifier) or (isinstance(term, Mechanism) and lets_pass(term))
        if usable and key_of(term_of(word)) not in present and word not in moved:
            moved.append(word)
    end = end_of(chain.words)
    if moved and end is not None:
        words = (*chain.words[:end], *moved, *chain.words[end:])
        if chain.step("spf-move-dead", ("spf-drop-dead",), words, moved):
            chain.show(Care.CAREFUL)


def _set_end(chain: Chain) -> None:
    """?all and no `all` become ~all."""
    if not chain.spf.wants("spf-add-all") or has_redirect(chain.words):
        return
    end = end_of(chain.words)
    if end is None:
        chain.step("spf-add-all", ("spf-add-all",), before_modifiers(chain.words, "~all"), ("~all",))
    else:
        term = term_of(chain.words[end])
        if not isinstance(term, Mechanism) or term.qualifier != "?":
            return
        words = (*chain.words[:end], "~all", *chain.words[end + 1 :])
        chain.step("spf-add-all", ("spf-add-all",), words, (chain.words[end],))
    chain.show(Care.CAREFUL)


def _close_open(chain: Chain) -> None:
    """What lets everybody pass gives way to what is known to send; where nothing is known, only the owner can say."""
    spf = chain.spf
    if not spf.wants("spf-close-open") or has_redirect(chain.words):
        return
    gone = tuple(word for word in chain.words if _is_open(spf, word))
    closed = [_without_prefix(word) if word in gone else word for word in chain.words]
    senders = tuple(dict.fromkeys(word for word in closed if word and not is_term(term_of(word), "all")))
    named = tuple(word for word in senders if isinstance(term_of(word), Modifier))
    senders = tuple(word for word in senders if word not in named)
    known = _known_senders(spf) if not any(_reaches(spf, word) for word in senders) else ()
    given = tuple(ip_word(ip) for ip in _own_addresses(spf) if not _holds(spf, senders, ip))
    senders = tuple(dict.fromkeys((*senders, *known, *given)))
    if not any(_reaches(spf, word) or word in known for word in senders):
        return
    # Nobody got as far as the old end. Now that all who are not listed do, it is the milder one.
    if chain.step("spf-close-open", ("spf-close-open",), (*senders, "~all", *named), gone):
        chain.show(Care.CAREFUL, values={"added": (*known, *given)})


def _is_open(spf: SpfFacts, word: str) -> bool:
    """Whether the term alone lets a large part of the internet pass."""
    term = term_of(word)
    if not isinstance(term, Mechanism) or term.qualifier != "+" or term.name == "include":
        return False
    if term.name == "all":
        return True
    allowed = ranges_of(spf.ranges(word) or ())
    wide6 = allowed.prefix(6)
    open_name = term.name == "exists" and (spf.status(word) is SpfStatus.OK or spf.domain in _open_domains(spf, word))
    return open_name or allowed.count(4) >= HUGE_IP4 or (wide6 is not None and wide6 <= HUGE_IP6)


def _open_domains(spf: SpfFacts, word: str) -> tuple[Value, ...]:
    """Whose records hold such a term among those that let the most pass."""
    own = (each for each in (if_known(spf.facts.of(SpfIdentities).identities) or ()) if each.domain == spf.domain)
    widest = next((each.widest_terms for each in own), ())
    listed = widest if isinstance(widest, tuple) else ()
    return tuple(each.arg("domain") for each in listed if isinstance(each, Detail) and each.arg("term") == word)


def _without_prefix(word: str) -> str:
    """An a or mx for its own hosts alone; every other open term is not kept."""
    term = term_of(word)
    return word.partition("/")[0] if isinstance(term, Mechanism) and term.name in ("a", "mx") else ""


def _reaches(spf: SpfFacts, word: str) -> bool:
    """Whether a term lets somebody pass from whom mail can come, or may."""
    term = term_of(word)
    if not isinstance(term, Mechanism) or not lets_pass(term) or spf.status(word) is SpfStatus.VOID:
        return False
    ranges = spf.ranges(word)
    return ranges is None or bool(ranges_of(ranges) - unreachable(example=is_example(spf.domain)))


def _holds(spf: SpfFacts, words: Words, ip: str) -> bool:
    address = ip_address(ip)
    return any(address in network for word in words for network in spf.ranges(word) or ())


def _name_senders(chain: Chain) -> None:
    """What is known to send comes into a record that lets nobody send; how it ends stays."""
    spf = chain.spf
    if not spf.wants("spf-name-senders") or has_redirect(chain.words):
        return
    known = _known_senders(spf)
    if not known or any(_reaches(spf, word) for word in chain.words):
        return
    fresh = tuple(word for word in known if word not in chain.words)
    if chain.step("spf-name-senders", ("spf-name-senders",), (*fresh, *chain.words), fresh):
        chain.show(Care.CAREFUL)


def _replace_ptr(chain: Chain) -> None:
    """The addresses known to pass by ptr take its place; where none is known, it just goes."""
    spf = chain.spf
    own = [index for index, word in enumerate(chain.words) if is_term(term_of(word), "ptr")]
    if not spf.wants("spf-replace-ptr") or not own:
        return
    ptrs = {chain.words[index] for index in own}
    matched = [ip for ip, term in spf.sending(passing=True) if term in ptrs]
    fresh = [ip_word(ip) for ip in dict.fromkeys(matched)]
    words = (*chain.words[: own[0]], *fresh, *without(chain.words, own)[own[0] :])
    code = "spf-replace-ptr" if fresh else "spf-drop-ptr"
    if chain.step(code, ("spf-replace-ptr",), words, (chain.words[index] for index in own)):
        chain.show(Care.CAREFUL)


def _add_senders(chain: Chain) -> None:
    """Addresses that send and that no term names, at the end of those that are named."""
    spf = chain.spf
    decided_by_all = {word for word in chain.words if is_term(term_of(word), "all")}
    failing = dict(spf.sending(passing=False))
    missing: list[str] = []
    for finding in spf.unmet_items.get("spf-add-sender", ()):
        word = failing.get(finding.item)
        # An address that a term of its own denies was meant to be kept out.
        denied = word in chain.words and word not in decided_by_all and isinstance(term_of(word), Mechanism)
        if word is not None and not denied and not _covered(chain, finding.item):
            missing.append(finding.item)
    words = chain.words
    # An address that only stands in a header may be that of the recipient's gateway, or of whoever passed the mail on.
    ours = if_known(spf.facts.of(Ownership).addresses) or ()
    fresh = tuple(ip_word(ip) for ip in dict.fromkeys(missing) if ip in ours)
    place = next(
        (i for i, word in enumerate(words) if word in decided_by_all or is_term(term_of(word), "redirect")), None
    )
    place = len(words) if place is None else place
    if missing and _add_service(chain, place):
        return
    alone = not chain.pending
    if chain.step("spf-add-sender", ("spf-add-sender",), (*words[:place], *fresh, *words[place:]), fresh):
        declared = spf.facts.of(Envelope).ip_source == "option"
        chain.show(Care.SAFE if declared and alone else Care.CAREFUL)


def _add_service(chain: Chain, place: int) -> bool:
    """The include of the service that sent the message, where its address was read from there. Says whether it was."""
    spf, words = chain.spf, chain.words
    host = _include_of(spf, if_known(spf.facts.of(MessageSender).message_service) or "")
    word = f"include:{host}"
    known = {spf.target(each) for each in words} | {each.lower().lstrip("+").partition(":")[2] for each in words}
    if not host or host in known or spf.facts.of(Envelope).ip_source == "option":
        return False
    if spf.lookups((*words, word)) > MAX_LOOKUPS:
        return False
    chain.step("spf-add-service", ("spf-add-sender",), (*words[:place], word, *words[place:]), (word,))
    name = if_known(spf.facts.of(MessageSender).message_service_name) or ""
    chain.show(Care.CAREFUL, values={"service": name or host})
    return True


def _covered(chain: Chain, ip: str) -> bool:
    """Whether the record as edited so far names the address, as a repaired or moved term may."""
    address = ip_address(ip)
    return any(address in network for word in chain.words for network in chain.spf.ranges(word) or ())


def _narrow(chain: Chain) -> None:
    """A range that is far too wide gives way to the sending addresses known to lie in it; never to nothing."""
    spf = chain.spf
    if not spf.wants("spf-narrow"):
        return
    wide = set(if_known(spf.facts.of(Spf).wide_ranges) or ())
    words: list[str] = []
    gone: list[str] = []
    for word in chain.words:
        ranges = spf.ranges(word) if word in wide else None
        inside = [ip for ip in _own_addresses(spf) if any(ip_address(ip) in each for each in ranges or ())]
        if not inside:
            words.append(word)
            continue
        gone.append(word)
        words += [ip_word(ip) for ip in inside if ip_word(ip) not in words]
    if chain.step("spf-narrow", ("spf-narrow",), tuple(words), gone):
        chain.show(Care.CAREFUL)


def _list_many_hosts(chain: Chain) -> None:
    """An mx with more hosts than receivers follow becomes the addresses of these hosts."""
    spf = chain.spf
    if not spf.wants("spf-addresses"):
        return
    words, gone = chain.words, []
    for word in dict.fromkeys(words):
        term = term_of(word)
        if spf.status(word) is not SpfStatus.OVERFLOW or not isinstance(term, Mechanism) or not lets_pass(term):
            continue
        addresses = spf.addresses(spf.terms[word])
        if addresses:
            words = replaced(words, word, collapsed(ip_network(ip) for ip in addresses))
            gone.append(word)
    if chain.step("spf-addresses", ("spf-addresses",), words, gone):
        chain.show(Care.CAREFUL, values={"lookups": spf.lookups(words)})


def _drop_faulty(chain: Chain) -> None:
    """Includes whose record itself has a syntax error: they end every check, and only their owner can mend them."""
    spf = chain.spf
    if not spf.wants("spf-fix-syntax"):
        return
    spf = chain.spf
    faulty = [
        index
        for index, word in enumerate(chain.words)
        if plain_include(word) and spf.faulty(word) and not spf.carries_mailboxes(word)
    ]
    if chain.step(
        "spf-drop-faulty", ("spf-fix-syntax",), without(chain.words, faulty), (chain.words[i] for i in faulty)
    ):
        chain.show(Care.CAREFUL)
