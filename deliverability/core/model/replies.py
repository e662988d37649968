"""What receivers answer and what that means: replies, meanings, explanations.

Codes and values only; the words in two languages are those of the catalogue (rules/replies).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated

from msgspec import Struct, field

from deliverability.core.model.rules import Confidence, SourceRef
from deliverability.core.model.schema import OUTSIDE, Field, Text, Words

EXPLANATION_SCHEMA = "1.0"
ANY = "any"
AFTER_DATA = "end of DATA"
"""The command of a reply to the message itself; DATA alone asks whether it may be sent."""


class Retry(StrEnum):
    """Whether sending again helps.

    LATER: the sending server tries again by itself, and that may be enough. AFTER_FIX: only once the cause is mended.
    NO: never to this address.
    """

    LATER = "later"
    AFTER_FIX = "after-fix"
    NO = "no"


class About(StrEnum):
    """What a reply is about, and so whose matter it is.

    ADDRESS: there is no such address. MAILBOX: it is there, and switched off or full. HOST: the domain behind the @.
    MESSAGE: content, form or size of the mail. SENDER: who sends, how it is authenticated, what it may do there, what
    is thought of it. RATE: too much at a time. UNKNOWN: the reply does not tell, or it is a fault on the way.
    """

    ADDRESS = "address"
    MAILBOX = "mailbox"
    HOST = "host"
    MESSAGE = "message"
    SENDER = "sender"
    RATE = "rate"
    UNKNOWN = "unknown"


class ReplyCause(StrEnum):
    """Where the cause lies, where that is known more closely than what the reply is about.

    It is only said, and decides nothing: which addresses are suppressed hangs on `About`.
    """

    AUTHENTICATION = "authentication"
    IP_BLOCK = "ip-block"
    BLOCK = "block"
    REPUTATION = "reputation"
    DYNAMIC_IP = "dynamic-ip"
    REVERSE_DNS = "reverse-dns"
    HELO = "helo"
    IPV6 = "ipv6"
    RETURN_PATH = "return-path"
    RECIPIENT_RULE = "recipient-rule"
    GROUP = "group"
    RELAY = "relay"
    SIGN_IN = "sign-in"
    OWN_ACCOUNT = "own-account"
    ENCRYPTION = "encryption"
    ERRORS = "errors"
    FULL = "full"
    DISABLED = "disabled"
    MOVED = "moved"
    SPELLING = "spelling"
    SIZE = "size"
    FORMAT = "format"
    ATTACHMENT = "attachment"
    CONTENT = "content"
    SPAM = "spam"
    VOLUME = "volume"
    RECIPIENTS = "recipients"
    GREYLISTING = "greylisting"
    RECIPIENT_VOLUME = "recipient-volume"
    RECEIVER = "receiver"
    CONNECTION = "connection"
    LOOP = "loop"
    EARLIER_REPLY = "earlier-reply"
    COMPLAINT = "complaint"
    ACCEPTED = "accepted"


class ReplyKind(StrEnum):
    """What a reply says about the mail (RFC 5321 section 4.2.1); REPORT: a complaint or failure report, no reply."""

    PERMANENT = "permanent"
    TEMPORARY = "temporary"
    ACCEPTED = "accepted"
    REPORT = "report"
    UNKNOWN = "unknown"


class Phase(StrEnum):
    """Where in the SMTP dialogue a reply was given: on the sender, the recipient or the message, after it was sent.

    The same words mean different things: a server knows its mailboxes at RCPT TO, and its recipients' filters see the
    message only after DATA.
    """

    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"


class Fit(StrEnum):
    """How closely a meaning fits: the receiver's own, a wording that many hosts use, or the code alone."""

    RECEIVER = "receiver"
    WORDING = "wording"
    CODE = "code"
    NONE = "none"


class Reply(Struct, frozen=True):
    """One reply of a mail host, as it was found.

    Attributes:
        text: the host's own words in one line, the codes of continuation lines taken out; bounded.
        code: reply code of three digits (RFC 5321 section 4.2.2), or empty.
        enhanced: enhanced status code written in the reply (RFC 3463), or empty.
        status: Status field of a delivery status notification, which the reporting host chose (RFC 3464 section
            2.3.4), or the ``dsn=`` of a log line; or empty.
        host: name of the host that said it, lower case, or empty.
        recipient: address it was about, or empty.
        command: SMTP command that it answered, as the log or notice names it, AFTER_DATA for the message; or empty.
        report: the words are a field of a complaint or failure report, not a reply.

    """

    text: str
    code: str = ""
    enhanced: str = ""
    status: str = ""
    host: str = ""
    recipient: str = ""
    command: str = ""
    report: bool = False

    @property
    def phase(self) -> Phase | None:
        """Where in the dialogue it was given; None where nothing tells."""
        return Phase.DATA if self.command == AFTER_DATA else _PHASES.get(self.command[:4].upper())

    @property
    def kind(self) -> ReplyKind:
        """Permanent, temporary or accepted, by the first digit of the first code there is."""
        if self.report:
            return ReplyKind.REPORT
        first = (self.code or self.enhanced or self.status)[:1]
        return {"2": ReplyKind.ACCEPTED, "4": ReplyKind.TEMPORARY, "5": ReplyKind.PERMANENT}.get(
            first, ReplyKind.UNKNOWN
        )


_PHASES = {"MAIL": Phase.MAIL, "RCPT": Phase.RCPT, "VRFY": Phase.RCPT, "DATA": Phase.DATA, "BDAT": Phase.DATA}


class ReplyWords(Struct, frozen=True):
    """What a reply means and what to do about it, in one language."""

    means: Text
    do: Annotated[tuple[str, ...], Field(filled=True)]


class Meaning(Struct, frozen=True):
    """An entry of the catalogue: what a reply means.

    Attributes:
        id: unique over the catalogue.
        receiver: receiver or host id that it is about, or ``any``.
        codes: ``550 5.7.26``, ``550``, ``5.7.26``, ``X.1.1`` (temporary or permanent), ``5.7.606-649``; empty: any.
        says: alternatives of wording, lower case, white space folded; ``…`` in one is anything, ``^`` before one
            for the beginning of the reply, ``$`` behind one for its end, ``{a|b}`` for either. Empty: any.
        gapped: those of them that are more than a piece of text: with ``…``, ``^`` or ``$``.
        not_with: codes with which the wording is no evidence; they say something else.
        not_says: wording with which the codes are no evidence.
        sure_with: codes that bear the wording out: with one of them the confidence is high.
        after: it means that only as an answer in this phase of the dialogue; None: in any.
        example: a reply that this entry explains.
        retry: see Retry.
        about: see About.
        cause: see ReplyCause; None: nothing closer than `about` is known.
        rules: rule ids behind it; None: those whose receiver overlay lists the code.
        text: language -> words.
        confidence: in the meaning.
        contested: sources contradict each other; the meaning gives both readings.
        sources: where it is from.

    """

    id: Annotated[str, Field(pattern="[a-z0-9]+(-[a-z0-9]+)*")]
    example: Text
    retry: Retry
    about: About
    text: Annotated[Mapping[str, ReplyWords], Field(keys=("en", "ja"))]
    sources: Annotated[tuple[SourceRef, ...], Field(filled=True)]
    codes: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    cause: ReplyCause | None = None
    rules: tuple[str, ...] | None = None
    confidence: Confidence = Confidence.HIGH
    contested: bool = False
    not_with: tuple[str, ...] = ()
    not_says: tuple[str, ...] = ()
    sure_with: tuple[str, ...] = ()
    after: Phase | None = None
    receiver: Annotated[str, OUTSIDE] = ""
    gapped: Annotated[tuple[str, ...], OUTSIDE] = ()

    @property
    def origin(self) -> str:
        """Where the cause lies, as closely as it is known."""
        if self.contested and self.about is About.ADDRESS:
            return "contested"
        return (self.cause or self.about).value

    @property
    def next_try(self) -> str:
        """`retry`; where the sender has no fault to mend, after what else."""
        if self.retry is not Retry.AFTER_FIX:
            return self.retry.value
        if self.cause is not None and self.cause in _MENDED_BY_OTHERS:
            return f"after-{self.cause.value}"
        return f"after-{self.about.value}" if self.about in _RECIPIENTS_OWN else self.retry.value

    @property
    def meaning(self) -> Mapping[str, str]:
        """Language -> what it means."""
        return {lang: words.means for lang, words in self.text.items()}

    @property
    def steps(self) -> Mapping[str, tuple[str, ...]]:
        """Language -> what to do."""
        return {lang: words.do for lang, words in self.text.items()}


_MENDED_BY_OTHERS = (
    ReplyCause.RECIPIENT_RULE,
    ReplyCause.GROUP,
    ReplyCause.RECEIVER,
    ReplyCause.MOVED,
    ReplyCause.SPELLING,
)
_RECIPIENTS_OWN = (About.ADDRESS, About.MAILBOX, About.HOST)


def _names(given: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.lower().strip(".") for name in given)


class BouncingReceiver(Struct, frozen=True, rename={"id": "receiver"}):
    """A receiver by the ways in which a bounce shows it.

    Attributes:
        id: receiver id of rules/receivers, or an id of its own for hosts that are not judged.
        name: language -> display name.
        hosts: suffixes of host names, lower case.
        domains: recipient domains that it serves.
        marks: wording that only this receiver uses, lower case.
        codes: codes that in practice it alone gives, and that stand for it where nothing else tells.
        falls_back: id of the receiver whose entries count where it has none of its own, or empty.

    """

    id: Annotated[str, Field(pattern="[a-z0-9-]+")]
    name: Words = field(default_factory=dict)
    hosts: Annotated[tuple[str, ...], Field(after=_names)] = ()
    domains: Annotated[tuple[str, ...], Field(after=_names)] = ()
    marks: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    falls_back: str = ""


class ReplyFile(BouncingReceiver, frozen=True):
    """A file of replies: by what its receiver is known, and what the receiver's replies mean."""

    replies: tuple[Meaning, ...] = ()


class ReplyCatalogue(Struct, frozen=True):
    """Everything that explains: hosts by id, meanings in file order."""

    hosts: Mapping[str, BouncingReceiver]
    meanings: tuple[Meaning, ...]


class Explained(Struct, frozen=True):
    """One reply with what it means; equal ones are counted.

    Attributes:
        reply: the first of its kind in the input.
        receiver: id of the receiver, or empty.
        known_by: ``host``, ``wording``, ``recipient``, ``code`` or ``option``; empty without a receiver.
        fit: how closely `meaning` fits.
        meaning: None only with Fit.NONE.
        rules: rule ids behind it, the most telling first.
        count: how often it stands in the input.
        recipients: the first few addresses it was about.

    """

    reply: Reply
    receiver: str
    known_by: str
    fit: Fit
    meaning: Meaning | None
    rules: tuple[str, ...]
    count: int = 1
    recipients: tuple[str, ...] = ()


class PileSums(Struct, frozen=True):
    """What a pile of bounces consists of.

    Attributes:
        items: files and mails that were looked at.
        silent: of these, how many hold no reply, by the problem (see Explanation).
        unread: how many could not be read, or reached.

    """

    items: int
    silent: Mapping[str, int]
    unread: int = 0


class Explanation(Struct, frozen=True):
    """The whole answer to one input.

    Attributes:
        kind: what the input is: ``text``, ``json``, ``message``, ``mailbox`` or ``pile``.
        replies: in order of first sight.
        problem: why there are none: ``empty``, ``binary``, ``notice`` (a bounce whose words are not known), ``message``
            (no bounce), ``auto-reply`` or ``text``; else empty.
        sender_domain: author domain of the message that came back, where the input holds it.
        more: replies beyond what is kept.
        hosts: receivers by id, for their names.
        cut: the input is longer than what was read.
        pile: what a pile consists of; None: the input is something else.

    """

    kind: str
    replies: tuple[Explained, ...]
    problem: str = ""
    sender_domain: str = ""
    more: int = 0
    hosts: Mapping[str, BouncingReceiver] = field(default_factory=dict)
    cut: bool = False
    pile: PileSums | None = None
