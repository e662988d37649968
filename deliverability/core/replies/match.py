"""What replies mean (rules/replies/*.yaml): whose one is, which meaning fits it best, which rules stand behind it.

The shape of a file is that of ReplyFile, names are checked by the rules. Every problem is told with file and line.

The most telling match wins: the receiver's own words before its own code, then those of the receiver that it falls
back to, then words that many hosts use, then the enhanced status code (RFC 3463), then the reply code alone (RFC 5321
section 4.2.3). Wording is compared as literal pieces of text, so that every comparison is linear in the length of the
reply.

Nothing that says "never again" fits a reply that says "later" or that is about the sender: a living address must not be
given up.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core import yaml as yamlstrict
from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.errors import FilesError
from deliverability.core.model.replies import (
    ANY,
    About,
    BouncingReceiver,
    Fit,
    Meaning,
    Phase,
    Reply,
    ReplyCatalogue,
    ReplyFile,
    ReplyKind,
    Retry,
)
from deliverability.core.model.rules import Confidence, RuleSet
from deliverability.core.model.schema import nearest
from deliverability.core.names import is_within
from deliverability.core.yaml import DEFINED, NO_RULE, NO_SOURCE, STEPS_DIFFER, FileLine, read_shape

FOLDER = "replies"
MAX_SAYS = 300
_ALTERNATIVES = re.compile(r"(\{[^{}]*\})")


NO_CODE = Code("reply-no-code", ("code",))
NEEDS_NAME = Code("reply-needs-name", ("receiver",))
SAYS_TOO_LITTLE = Code("reply-says", ("text", "n"))
NEEDS_CODES = Code("reply-needs-codes")
NO_FALL_BACK = Code("reply-no-fall-back", ("receiver",))


class ReplyError(FilesError):
    """Reply files that cannot be used."""


def load_replies(folders: Iterable[Path], rules: RuleSet) -> ReplyCatalogue:
    """Read ``replies/*.yaml`` of every folder; a later meaning or host of the same id replaces an earlier one.

    Receivers of `rules` are known by their MX hosts and domains even without a file here.

    Raises ReplyError with every problem.
    """
    hosts = {
        receiver.id: BouncingReceiver(receiver.id, receiver.name, receiver.mx_suffixes, receiver.domains)
        for receiver in rules.receivers.values()
    }
    meanings: dict[str, Meaning] = {}
    problems: list[Detail] = []
    for folder in folders:
        taken: dict[str, FileLine] = {}
        files: dict[str, FileLine] = {}
        for path in sorted((folder / FOLDER).glob("*.yaml")):
            document = yamlstrict.read_file(path, problems)
            file = read_shape(document, ReplyFile, problems) if document else None
            if document is None or file is None:
                continue
            at = document.at()
            if file.id in files:
                problems.append(at.problem(DEFINED(name=file.id, place=str(files[file.id]))))
                continue
            files[file.id] = at
            _host(at, file, hosts, problems)
            for index, each in enumerate(file.replies):
                where = document.at("replies", index)
                if each.id in taken:
                    problems.append(where.problem(DEFINED(name=each.id, place=str(taken[each.id]))))
                    continue
                taken[each.id] = where
                problems.extend(where.problem(detail, each.id) for detail in _troubles(each, rules))
                wordings = _written_out(each.says)
                meanings[each.id] = replace(
                    each,
                    receiver=file.id,
                    says=wordings,
                    gapped=tuple(one for one in wordings if "…" in one or one.startswith("^") or one.endswith("$")),
                    not_says=_written_out(each.not_says),
                )
    problems.extend(
        ABOUT(what=each.id, detail=NO_FALL_BACK(receiver=each.falls_back))
        for each in hosts.values()
        if each.falls_back and each.falls_back not in hosts
    )
    if problems:
        raise ReplyError(*problems)
    return ReplyCatalogue(hosts, tuple(meanings.values()))


def _written_out(wordings: Iterable[str]) -> tuple[str, ...]:
    """Each wording, folded; of one with alternatives, ``{user|mailbox} not found``, all that it stands for."""
    found: list[str] = []
    for wording in wordings:
        parts = [each.strip("{}").split("|") for each in _ALTERNATIVES.split(wording)]
        found += (fold("".join(each)) for each in itertools.product(*parts))
    return tuple(dict.fromkeys(found))


def _host(at: FileLine, file: ReplyFile, hosts: dict[str, BouncingReceiver], problems: list[Detail]) -> None:
    if file.id == ANY:
        return
    problems.extend(at.problem(NO_CODE(code=code)) for code in file.codes if parse_code(code) is None)
    known = hosts.get(file.id)
    if not file.name and known is None:
        problems.append(at.problem(NEEDS_NAME(receiver=file.id)))
        return
    hosts[file.id] = BouncingReceiver(
        file.id,
        file.name or (known.name if known else {}),
        tuple(dict.fromkeys((*(known.hosts if known else ()), *file.hosts))),
        tuple(dict.fromkeys((*(known.domains if known else ()), *file.domains))),
        tuple(map(fold, file.marks)),
        file.codes,
        file.falls_back,
    )


def _troubles(meaning: Meaning, rules: RuleSet) -> Iterable[Detail]:
    for code in (*meaning.codes, *meaning.not_with, *meaning.sure_with):
        if parse_code(code) is None:
            yield NO_CODE(code=code)
    for says in (*meaning.says, *meaning.not_says):
        if not re.search(r"\w\w", says) or len(says) > MAX_SAYS:
            yield SAYS_TOO_LITTLE(text=says, n=MAX_SAYS)
    if not meaning.codes and not meaning.says:
        yield NEEDS_CODES()
    for rule in meaning.rules or ():
        if rule not in rules.rules:
            yield nearest(NO_RULE(rule=rule), rule, rules.rules)
    for source in meaning.sources:
        if source.ref not in rules.sources:
            yield nearest(NO_SOURCE(name=source.ref), source.ref, rules.sources)
    en, ja = (len(meaning.text[lang].do) for lang in ("en", "ja"))
    if en != ja:
        yield STEPS_DIFFER(en=en, ja=ja)


_BASIC = re.compile(r"[245][0-9]{2}")
_ENHANCED = re.compile(r"(?P<class>[245X])\.(?P<subject>[0-9]{1,3})\.(?P<first>[0-9]{1,3})(?:-(?P<last>[0-9]{1,3}))?")
_WORD = re.compile(r"[A-Z][A-Z0-9]*+(?:-[0-9]++|(?<=[0-9]))")
_NO_SUCH = (
    r"(?:unknown (?:user|recipient)|(?:user|recipient|mailbox) (?:unknown|not found|unavailable|is full|full)|"
    r"no such (?:user|recipient|mailbox)|invalid recipient|recipient(?: address)? rejected|address unknown)"
)
_LOCAL = r"[^\s<>,;:\"'()\[\]@]{1,64}@"
# "Unknown user a@docomo.ne.jp", "<a@ezweb.ne.jp>: User unknown": the address in such a reply is the recipient's.
_REFUSED = re.compile(
    rf"{_NO_SUCH}[ :<('\"]{{1,4}}{_LOCAL}(?P<after>[a-z0-9.-]{{1,253}})|"
    rf"{_LOCAL}(?P<before>[a-z0-9.-]{{1,253}})[ :>)'\"]{{1,5}}{_NO_SUCH}"
)
# The names of mailboxes are no evidence: spam@example.org may well be unknown.
_ANY_ADDRESS = re.compile(rf"{_LOCAL}(?P<domain>[a-z0-9.-]{{1,253}})")
# What stands behind the host in a link is no wording: http://mail.example.com/help_spam.htm.
_PATH = re.compile(r"(?P<host>\bhttps?://[a-z0-9.-]{1,253})[/?#][^\s<>\"')\]]*")
# Words beside which an address may be that of the sender, or one to write to.
_OTHERS = re.compile(
    r"\b(?:sender|from|return-path|envelope|helo|ehlo|spf|dkim|dmarc|contact|postmaster|abuse|help|support|e?mail us)\b"
)
_LATER = re.compile(r"try (?:again|later)|temporar|retry later|later\b.{0,20}\btry")
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "`": "'"})


class ReplyCode(Struct, frozen=True):
    """A code of the catalogue, parsed. Empty or None: any.

    Attributes:
        basic: reply code.
        digit: class of the enhanced code; ``X``: temporary or permanent.
        subject, first, last: the rest of the enhanced code, the detail as a range.
        word: a word of the receiver's own that stands in the text (``DY-001``), lower case.

    """

    basic: str = ""
    digit: str = ""
    subject: str = ""
    first: int = 0
    last: int = 0
    word: str = ""

    @property
    def weight(self) -> int:
        """How telling it is: 2 with an enhanced code or a word, 3 with a reply code too, 0 for X.0.0, else 1."""
        if self.word:
            return 2
        if not self.digit:
            return 1
        if self.subject == "0" and self.last == 0:
            return 0
        return 3 if self.basic else 2

    def fits(self, reply: Reply) -> bool:
        """Whether the reply has this code; where it has no enhanced code of its own, the status counts."""
        if self.basic and reply.code != self.basic:
            return False
        if self.word and self.word not in reply.text.lower():
            return False
        return not self.digit or self._fits_enhanced(reply.enhanced or reply.status)

    def _fits_enhanced(self, enhanced: str) -> bool:
        parts = enhanced.split(".")
        if len(parts) != 3 or parts[1] != self.subject or not parts[2].isdigit():
            return False
        return (self.digit == "X" or parts[0] == self.digit) and self.first <= int(parts[2]) <= self.last


@lru_cache(maxsize=2_048)
def parse_code(text: str) -> ReplyCode | None:
    """A code as the catalogue and the receivers' overlays write it, or None."""
    basic = digit = subject = word = ""
    first = last = 0
    for part in text.split():
        enhanced = _ENHANCED.fullmatch(part)
        if _BASIC.fullmatch(part) and not basic:
            basic = part
        elif enhanced and not digit:
            digit, subject, first = enhanced["class"], enhanced["subject"], int(enhanced["first"])
            last = int(enhanced["last"] or enhanced["first"])
        elif _WORD.fullmatch(part) and not word:
            word = part.lower()
        else:
            return None
    return ReplyCode(basic, digit, subject, first, last, word) if basic or digit or word else None


def fold(text: str) -> str:
    """Lower case, typographic quotes made plain, runs of white space as one blank: how wording is compared."""
    return " ".join(text.translate(_QUOTES).lower().split())


def says(folded: str, wording: str) -> int:
    """How many characters of `wording` stand in `folded`, its pieces (at ``…``) in order; 0 where not all do.

    With ``^`` before it, it must begin the reply, with ``$`` behind it, end it.
    """
    wanted = wording.removesuffix("$")
    if wanted != wording and not folded.rstrip(" .").endswith(wanted.rpartition("…")[2].strip()):
        return 0
    if wanted.startswith("^") and not folded.startswith(wanted[1:].partition("…")[0].strip()):
        return 0
    wanted = wanted.removeprefix("^")
    position = length = 0
    for piece in wanted.split("…"):
        piece = piece.strip()
        found = folded.find(piece, position)
        if found < 0:
            return 0
        position = found + len(piece)
        length += len(piece)
    return length


def receiver_of(reply: Reply, catalogue: ReplyCatalogue) -> tuple[str, str]:
    """The receiver that a reply is from, and what tells it: its host, its wording, the recipient's domain, its code.

    A code counts only where the host is not named: another host may give it, too.
    """
    found = _by_suffix(reply.host, {each.id: each.hosts for each in catalogue.hosts.values()})
    if found:
        return found, "host"
    words = fold(reply.text)
    marked = [(len(mark), each.id) for each in catalogue.hosts.values() for mark in each.marks if mark in words]
    if marked:
        return max(marked)[1], "wording"
    domain = (reply.recipient.rpartition("@")[2] or _refused(words) or _only_address(reply, words)).lower().rstrip(".")
    found = _by_suffix(domain, {each.id: each.domains for each in catalogue.hosts.values()})
    if found:
        return found, "recipient"
    likely = "" if reply.host else _by_code(reply, catalogue)
    return (likely, "code") if likely else ("", "")


def _refused(words: str) -> str:
    """The domain of the recipient that a reply says it does not know; empty where it names none."""
    match = _REFUSED.search(words)
    return (match["after"] or match["before"]) if match else ""


def _only_address(reply: Reply, words: str) -> str:
    """The domain of the one address in a reply that nothing suggests to be the sender's; else empty.

    With or without angle brackets: ``foo@icloud.com: user does not exist``.
    """
    if reply.phase is Phase.MAIL or _OTHERS.search(words):
        return ""
    domains = {each["domain"].rstrip(".") for each in _ANY_ADDRESS.finditer(words)}
    return domains.pop() if len(domains) == 1 else ""


def _by_code(reply: Reply, catalogue: ReplyCatalogue) -> str:
    """The receiver that alone gives this code in practice; empty without one."""
    fitting = (
        each.id
        for each in catalogue.hosts.values()
        if any((code := parse_code(text)) and code.fits(reply) for text in each.codes)
    )
    return next(fitting, "")


def _by_suffix(name: str, suffixes: Mapping[str, tuple[str, ...]]) -> str:
    """The id whose suffix is the longest that `name` is or lies below; empty without one."""
    best = ("", "")
    for ident, names in suffixes.items():
        for suffix in names:
            if is_within(name, suffix) and len(suffix) > len(best[0]):
                best = (suffix, ident)
    return best[1]


def meaning_of(reply: Reply, receiver: str, catalogue: ReplyCatalogue) -> tuple[Meaning | None, Fit]:
    """The meaning that fits best, and how closely."""
    host = catalogue.hosts.get(receiver, BouncingReceiver(receiver, {}))
    words = _Words(fold(reply.text))
    final = _may_be_final(reply, words.all)
    best: Meaning | None = None
    best_rank = (0, 0, 0)
    words_say: Meaning | None = None
    for place, meaning in enumerate(catalogue.meanings):
        if meaning.receiver not in (host.id, host.falls_back, ANY) or (meaning.retry is Retry.NO and not final):
            continue
        if meaning.receiver == ANY and words_say is not None:
            continue  # the first of these whose wording fits counts
        rank = _rank(meaning, reply, words, place, host.id)
        if rank is not None and (best is None or rank > best_rank):
            best, best_rank = meaning, rank
        if rank is not None and words_say is None and meaning.receiver == ANY and meaning.says:
            words_say = meaning
    if best is not None and best.about is About.ADDRESS and not best.says and words_say is not None:
        # No address is given up for a code whose words say something else.
        best = best if words_say.about is About.ADDRESS else words_say
    if best is None:
        return None, Fit.NONE
    if _has_code(best.sure_with, reply):
        best = replace(best, confidence=Confidence.HIGH)
    if best.receiver != ANY:
        return best, Fit.RECEIVER
    return best, Fit.WORDING if best.says else Fit.CODE


def _may_be_final(reply: Reply, words: str) -> bool:
    """Whether it can mean "never to this address": not where it says "later", and not as an answer to MAIL FROM."""
    if reply.kind is ReplyKind.TEMPORARY or reply.phase is Phase.MAIL:
        return False
    return _LATER.search(words) is None


def wording_of(reply: Reply, catalogue: ReplyCatalogue) -> bool:
    """Whether anything in the catalogue knows the wording of a notice that has no code."""
    words = _Words(fold(reply.text))
    return any(each.says and not each.codes and _says(each, words) for each in catalogue.meanings)


class _Words:
    """The wording of a reply: all of it for a receiver's own entries, for the others without addresses and links."""

    def __init__(self, folded: str) -> None:
        self.all = folded
        self.without_addresses = " ".join(_ANY_ADDRESS.sub(" ", _PATH.sub(r"\g<host>", folded)).split())


def _rank(meaning: Meaning, reply: Reply, words: _Words, place: int, receiver: str) -> tuple[int, int, int] | None:
    """None: does not fit. Else the higher the better: kind of match, then length of the wording or weight of the code.

    Wording that many hosts use is put in order by hand in its file: the first one that fits counts.
    """
    if meaning.after is not None and meaning.after is not reply.phase:
        return None
    weight = -1
    if meaning.codes:
        fitting = [code.weight for text in meaning.codes if (code := parse_code(text)) and code.fits(reply)]
        if not fitting:
            return None
        weight = max(fitting)
    length = _says(meaning, words) if meaning.says else 0
    if (meaning.says and not length) or _has_code(meaning.not_with, reply):
        return None
    if any(says(words.without_addresses, wording) for wording in meaning.not_says):
        return None
    if meaning.receiver == ANY:
        if length:
            return (4, -place, weight)
        return (2 if weight >= 2 else 1, weight, 0)
    own = 2 if meaning.receiver == receiver else 0
    if length:
        return (6 + own, length, weight)
    return (5 + own if weight >= 2 else 3, weight, own)


def _says(meaning: Meaning, words: _Words) -> int:
    text = words.without_addresses if meaning.receiver == ANY else words.all
    literal = max([len(each) for each in meaning.says if each in text], default=0)
    return max(literal, *(says(text, each) for each in meaning.gapped)) if meaning.gapped else literal


def _has_code(codes: tuple[str, ...], reply: Reply) -> bool:
    return any((code := parse_code(text)) is not None and code.fits(reply) for text in codes)


def rules_behind(reply: Reply, receiver: str, meaning: Meaning | None, fit: Fit, rules: RuleSet) -> tuple[str, ...]:
    """The rules behind a reply: those of the meaning; else, and for a meaning by code, the receiver's by the code."""
    named = meaning.rules if meaning else None
    if fit in (Fit.RECEIVER, Fit.WORDING) and named is not None:
        return _known(named, rules)
    overlay = rules.receivers.get(receiver)
    listed: list[str] = []
    for rule, statements in overlay.rules.items() if overlay else ():
        codes = [code for each in statements for text in each.codes if (code := parse_code(text))]
        if any(code.fits(reply) and _as_exact(code, reply) for code in codes):
            listed.append(rule)
    return tuple(listed) or _known(named or (), rules)


def _as_exact(code: ReplyCode, reply: Reply) -> bool:
    """A receiver's code without an enhanced one stands for replies without one."""
    return bool(code.digit or code.word) or not reply.enhanced


def _known(named: tuple[str, ...], rules: RuleSet) -> tuple[str, ...]:
    return tuple(rule for rule in dict.fromkeys(named) if rule in rules.rules)
