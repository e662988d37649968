"""Audits mails within tests: what a test hands over is taken, judged offline, and told in a few lines where it fails.

A mail in a test has not left its program yet. Where it has neither a DKIM signature nor a Received field, a server
signs it later; what follows from the signature that it lacks is no fault of the program and makes no test fail.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from email.message import Message
from functools import cached_property
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

from msgspec import Struct

from deliverability.api import given
from deliverability.api.report import Report, report_of
from deliverability.api.session import Session, subject_of
from deliverability.console.inputs import read_settings
from deliverability.console.judging import NO_RULE_BEGINS, UNKNOWN_RECEIVER, selection_of
from deliverability.console.language import Language
from deliverability.console.settings import Settings
from deliverability.core.codes import Code
from deliverability.core.errors import InputError, file_error
from deliverability.core.inputs import Subject
from deliverability.core.model.report import Finding, Verdict, VerdictKind
from deliverability.core.model.rules import RuleSet
from deliverability.core.phrases import LANGUAGES, joined
from deliverability.core.report.findings import receiver_short
from deliverability.core.report.formats.json import report_json
from deliverability.core.report.formats.table import FORMAT_OF, WriterOptions
from deliverability.core.report.report import ReportView
from deliverability.core.rules.grade import assess
from deliverability.core.rules.problems import load_guide
from deliverability.core.words.sentences import sentences, shortened
from deliverability.core.words.speaker import Speaker
from deliverability.engine.audit import Extras, Reported, report_on
from deliverability.engine.base import catalogue
from deliverability.engine.rules import rule_folders

NO_SUCH_NAME = Code("testing-no-such-name", ("name", "known"))
NOT_A_MAIL = Code("testing-not-a-mail", ("given",))

_NAMES = (
    "domain",
    "zone",
    "receivers",
    "purpose",
    "ip",
    "daily_volume",
    "mail_from",
    "signed",
    "select",
    "ignore",
)
_MOST_LINES = 25
_LINE = 200  # characters
_STEPS = 3
_OBJECTS = (VerdictKind.REJECTED, VerdictKind.AT_RISK, VerdictKind.DEPENDS)
_OF_SIGNATURE = {"dkim.signature_count": 0, "dkim.result": "none"}
_SIGNED_OR_SENT = re.compile(rb"(?im)^(?:dkim-signature|received)[ \t]*:")
_HEAD_END = re.compile(rb"\r?\n\r?\n")


class AuditSettings(Struct, frozen=True):
    """What flags, ini options and the settings file say for all tests."""

    settings: Settings = Settings()
    receivers: tuple[str, ...] = ()
    zones: tuple[Path, ...] = ()
    live: bool = False
    folder: Path | None = None
    lang: str = ""


def read_settings_file(named: Path | None) -> Settings:
    """The named settings file, else the nearest `deliv.toml`. Raises InputError."""
    return read_settings(named)


class MailAudits:
    """All audits of a test run: rules are read once, zones once each."""

    def __init__(self, settings: AuditSettings) -> None:
        if settings.lang and settings.lang not in LANGUAGES:
            raise InputError(NO_SUCH_NAME(name=settings.lang, known=LANGUAGES))
        self.settings = settings
        self.lang = settings.lang or Language().people
        self._sessions: dict[tuple[Path, ...], _JudgingSession] = {}

    def auditor(self, test: str, defaults: Mapping[str, object]) -> MailAuditor:
        """What audits the mails of one test. Raises InputError where a marker names what there is not."""
        for name in defaults:
            if name not in _NAMES:
                raise InputError(NO_SUCH_NAME(name=name, known=_NAMES))
        return MailAuditor(self, test, defaults)

    def session(self, zones: tuple[Path, ...]) -> _JudgingSession:
        """The session that answers from these zones; without any from nobody, unless live DNS is wanted."""
        if zones not in self._sessions:
            live = self.settings.live and not zones
            self._sessions[zones] = _JudgingSession(
                zones=zones, rules=self.settings.settings.rules, offline=not live, lang=self.lang
            )
        return self._sessions[zones]

    def close(self) -> None:
        """Release threads and sockets."""
        for each in self._sessions.values():
            each.close()
        self._sessions.clear()


class MailAuditor:
    """The fixture `deliv_audit`."""

    def __init__(self, audits: MailAudits, test: str, defaults: Mapping[str, object]) -> None:
        self._audits, self._test, self._defaults = audits, test, defaults
        self._done = 0

    def __call__(
        self,
        message: object,
        *,
        domain: str | None = None,
        zone: given.PathsGiven | None = None,
        receivers: given.TextsGiven | None = None,
        purpose: str | None = None,
        ip: given.AddressGiven | Iterable[given.AddressGiven] | None = None,
        daily_volume: int | None = None,
        mail_from: str | None = None,
        signed: bool | None = None,
        select: given.TextsGiven | None = None,
        ignore: given.TextsGiven | None = None,
    ) -> TestReport:
        """Audit a mail as a program hands it over.

        Args:
            message: octets, text, `email.message.Message`, a message of Django, Flask-Mail or aiosmtpd, or a path.
            domain: whose mail it is; None: the author domain of the message.
            zone: zone files that answer DNS questions; None: those of flag or ini option; without any nobody is asked.
            receivers: ids of the receivers to judge for; None: those of the settings.
            purpose: what the mail is: ``users``, ``bulk`` or ``transactional``.
            ip: addresses that will send it.
            daily_volume: messages a day; requirements of some receivers begin at a number.
            mail_from: envelope sender.
            signed: whether DKIM is judged; None: where the message is signed, or a server has passed it on.
            select: judge these rules only (ids or prefixes).
            ignore: leave these rules out.

        Raises InputError where a value cannot be used.

        """
        __tracebackhide__ = True
        told = {
            "domain": domain,
            "zone": zone,
            "receivers": receivers,
            "purpose": purpose,
            "ip": ip,
            "daily_volume": daily_volume,
            "mail_from": mail_from,
            "signed": signed,
            "select": select,
            "ignore": ignore,
        }
        values = {**self._defaults, **{name: value for name, value in told.items() if value is not None}}
        try:
            with given.input_errors():
                return self._audited(message, values)
        except InputError as error:
            raise error.with_traceback(None) from None

    def _audited(self, message: object, values: Mapping[str, Any]) -> TestReport:
        audits = self._audits
        mail = taken(message)
        sample = given.message("message", mail)
        zones = given.many("zone", values.get("zone"), given.path, given.PATH)
        subject = subject_of(
            values.get("domain"),
            mail,
            values.get("purpose"),
            values.get("daily_volume"),
            values.get("ip", ()),
            values.get("mail_from"),
            None,
            (),
        )
        chosen = {
            "receiver": given.many("receivers", values.get("receivers"), given.text, str) or audits.settings.receivers,
            "select": given.many("select", values.get("select"), given.text, str),
            "ignore": given.many("ignore", values.get("ignore"), given.text, str),
        }
        signed = values.get("signed")
        signed = _is_signed(sample.read()) if signed is None else given.flag("signed", signed)
        html = audits.settings.folder is not None
        session = audits.session(zones or audits.settings.zones)
        judged = session.judged(subject, audits.settings.settings, chosen, html=html)
        speaker = Speaker(judged.rules, catalogue(), audits.lang, judged.guide)
        file = self._written(judged.reported, speaker) if audits.settings.folder is not None else ""
        return TestReport(judged.reported, speaker, audits.settings.settings.rules, file, signed=signed)

    def _written(self, reported: Reported, speaker: Speaker) -> str:
        """The name of the file that holds the report as a page."""
        folder = self._audits.settings.folder
        assert folder is not None  # noqa: S101 - it is asked before
        self._done += 1
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", self._test.rpartition("::")[2])[:100].strip("-.")
        key = hashlib.sha256(self._test.encode("utf-8", "backslashreplace")).hexdigest()[:6]
        file = folder / f"{name or 'test'}-{key}{f'-{self._done}' if self._done > 1 else ''}.html"
        writer = FORMAT_OF[".html"].writer(speaker, WriterOptions(1, False, None, file=True))
        view = ReportView(reported.report, speaker, html=reported.audited.html or "")
        page = writer.report(view) + writer.end()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file.write_text(page, "utf-8", "backslashreplace")
        except OSError as error:
            raise InputError(file_error(file, error)) from None
        return str(file)


class _Judged(Struct, frozen=True):
    reported: Reported
    rules: RuleSet
    guide: Sequence[Mapping[str, Any]]


class _JudgingSession(Session):
    """A session that also gives what its reports are made of."""

    def judged(self, subject: Subject, settings: Settings, chosen: Mapping[str, object], *, html: bool) -> _Judged:
        """Audit within the session's own thread, whether an event loop runs here or not."""
        return self._in_worker(self._judged(subject, settings, chosen, html))

    async def _judged(self, subject: Subject, settings: Settings, chosen: Mapping[str, object], html: bool) -> _Judged:
        rules = self._loaded()
        selection = selection_of(settings, rules, chosen)
        reported = await report_on(subject, self._here(), rules, selection, Extras(html=html))
        return _Judged(reported, rules, load_guide(rule_folders(self._folders)) if html else ())


def taken(message: object) -> Any:
    """What a message of a mail library comes to: octets, a text, a path or an `email.message.Message`."""
    if isinstance(message, str | bytes | bytearray | memoryview | Path | Message):
        return message
    if callable(made := _held(message, "message")):  # Django's EmailMessage
        return _given_by(made(), message)
    if callable(made := _held(message, "as_bytes")):  # Flask-Mail's Message, and that of deliv_listener
        return _given_by(made(), message)
    for name in ("original_content", "content", "octets"):  # aiosmtpd's Envelope
        if isinstance(held := _held(message, name), bytes | str):
            return held
    return message


def _given_by(made: object, message: object) -> Any:
    """What a message gave of itself. Raises InputError where that is no message."""
    if inspect.iscoroutine(made):
        made.close()
    if not isinstance(made, str | bytes | bytearray | Message):
        raise given.wrong("message", NOT_A_MAIL(given=type(message).__name__))
    return made


def _held(message: object, name: str) -> object:
    try:
        return getattr(message, name, None)
    except Exception:  # whatever a property of the caller's class raises
        return None


def _is_signed(octets: bytes) -> bool:
    head = octets[: found.start()] if (found := _HEAD_END.search(octets)) else octets
    return _SIGNED_OR_SENT.search(head) is not None


class TestReport:
    """What receivers would do with a mail of a test.

    Attributes:
        signed: whether DKIM was judged.
        file: the page with the report; empty: none was asked for.

    """

    __test__ = False  # its name is not that of a test

    def __init__(
        self, reported: Reported, speaker: Speaker, folders: tuple[Path, ...], file: str, *, signed: bool
    ) -> None:
        self.signed, self.file = signed, file
        self._reported, self._speaker, self._folders = reported, speaker, folders

    @cached_property
    def report(self) -> Report:
        """All of it, see `deliverability.Report`; made when it is asked for, which most tests do not."""
        return report_of(report_json(self._reported.report), self._speaker.rules, self._folders, self._speaker.lang)

    def objections(self, *receivers: str, allow: given.TextsGiven = ()) -> tuple[Verdict, ...]:
        """The verdicts of the receivers that reject the mail or may, the worst first.

        Args:
            receivers: these only; none: all that were judged.
            allow: rules (ids or prefixes) that are accepted as they are.

        Raises InputError where a receiver was not judged, or no such rule is known.

        """
        prefixes = tuple(each.upper() for each in given.many("allow", allow, given.text, str))
        verdicts = self._verdicts(prefixes)
        for name in receivers:
            if name not in verdicts:
                raise InputError(UNKNOWN_RECEIVER(where="receiver", name=str(name)[:100], known=tuple(verdicts)))
        chosen = [verdicts[each] for each in receivers or verdicts]
        return tuple(sorted((each for each in chosen if each.verdict in _OBJECTS), key=lambda each: -each.verdict.rank))

    def assert_accepted(self, *receivers: str, allow: given.TextsGiven = ()) -> None:
        """Fail the test where a receiver rejects the mail or may, by what it publishes; parameters as `objections`.

        What could not be checked (DNS without a zone) makes no test fail.
        """
        __tracebackhide__ = True
        try:
            objections = self.objections(*receivers, allow=allow)
        except InputError as error:
            raise error.with_traceback(None) from None
        if objections:
            raise AssertionError(self._text(objections, len(receivers or self._judged())))

    def _verdicts(self, allow: tuple[str, ...]) -> dict[str, Verdict]:
        """The verdicts, as they would be if what is allowed, and what follows from a later signature, were met."""
        rules, report = self._speaker.rules, self._reported.report
        for prefix in allow:
            if not any(rule.startswith(prefix) for rule in rules.rules):
                raise InputError(NO_RULE_BEGINS(where="allow", text=prefix))
        findings = [
            each
            for each in report.findings
            if not (allow and each.rule.startswith(allow)) and (self.signed or not _of_signature(each))
        ]
        # A receiver of which a rule was left out has no verdict in the report: good news would be too good.
        # Here only bad news counts, which stays true whatever else was left out.
        assessment = assess(findings, self._judged(), report.facts, rules)
        return {each.receiver: each for each in assessment.verdicts}

    def _judged(self) -> Collection[str]:
        return self._reported.report.selection.receivers or tuple(self._speaker.rules.providers)

    def _text(self, objections: Sequence[Verdict], judged: int) -> str:
        """Why the mail is not accepted, and what to change: at most 25 lines."""
        say = self._speaker.say
        worst = objections[0].verdict
        names = [self._name(each.receiver) for each in objections if each.verdict is worst]
        lead = say(
            f"testing.{worst.value}",
            receivers=joined(names, say),
            n=f"{len(objections):,}",
            of=f"{judged:,}",
        )
        foot = [] if self.signed else [say("testing.unsigned")]
        foot += [say("testing.report", file=self.file)] if self.file else []
        blocks = list(self._blocks(objections))
        room = _MOST_LINES - len(foot) - 2  # the lead, and how many more there are
        lines = list(accumulate(len(block) for block in blocks))
        kept = sum(each <= room for each in lines)
        more = [say.count("testing.more", len(blocks) - kept)] if kept < len(blocks) else []
        return "\n".join([lead, *chain.from_iterable(blocks[:kept]), *more, *foot])

    def _blocks(self, objections: Iterable[Verdict]) -> Iterator[list[str]]:
        """The lines on each finding: what is wrong, for whom, and what to do; the most wanted first."""
        who: dict[tuple[str, str], list[str]] = {}
        for verdict in objections:
            for each in verdict.effects:
                who.setdefault((each.rule, each.item), []).append(self._name(verdict.receiver))
        report, speaker = self._reported.report, self._speaker
        findings = {(each.rule, each.item): each for each in report.findings}
        for key, receivers in sorted(who.items(), key=lambda pair: -len(pair[1])):
            words = sentences(findings[key], speaker.rules, speaker.lang, speaker.catalogue, report.facts)
            named = speaker.say("punctuation.aside", text=speaker.say("punctuation.list").join(receivers))
            yield [
                shortened(f"  ✗ {key[0]}  {words.message}{named}", _LINE),
                *(shortened(f"      → {step}", _LINE) for step in words.fix[:_STEPS]),
            ]

    def _name(self, receiver: str) -> str:
        return receiver_short(receiver, self._speaker)


def _of_signature(finding: Finding) -> bool:
    """Whether a finding rests on the signature that the mail does not have yet."""
    return any(finding.observed.get(path) == value for path, value in _OF_SIGNATURE.items())
