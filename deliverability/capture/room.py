"""What is done with a caught message in the worker process: audit it, write its report, and keep both at hand."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from deliverability.auditors import catalogue
from deliverability.capture.store import AuditSummary, CaughtMail
from deliverability.judge.engine import Selection
from deliverability.judge.files import load_guide
from deliverability.mail.captured import RAW
from deliverability.model.placeholders import LANGUAGES
from deliverability.model.rules import RuleSet, Severity
from deliverability.ports.open import PortSettings, open_ports
from deliverability.render.formats import FORMAT_OF, WriterOptions
from deliverability.runs.engine import Extras, Reported, report_on
from deliverability.runs.exit import exit_code
from deliverability.runs.job import Job, Options, Sample
from deliverability.runs.rules import load_rules, rule_folders
from deliverability.runs.saved import document_of
from deliverability.view.report import ReportView
from deliverability.words.speaker import Speaker

_KEPT = 32


@dataclass(frozen=True, slots=True)
class RoomSettings:
    """How messages are audited: what `deliv audit` would be told. All of it travels to another process.

    Attributes:
        domain: to audit every message for; None: its own.
        options: what the user said of the mail.
        ports: where answers come from.
        folders: the rule folders of the user.
        selection: which rules and receivers count.
        fail_on: from which severity on a finding gives exit code 1; None: none does.

    """

    domain: str | None = None
    options: Options = field(default_factory=Options)
    ports: PortSettings = field(default_factory=PortSettings)
    folders: tuple[Path, ...] = ()
    selection: Selection = field(default_factory=Selection)
    fail_on: Severity | None = Severity.ERROR


class CaptureRoom:
    """Audits, and the newest of what they gave. In a process of its own, for one call at a time."""

    def __init__(self, settings: RoomSettings) -> None:
        self.settings = settings
        self.rules: RuleSet = load_rules(settings.folders)
        self._reported: OrderedDict[str, Reported] = OrderedDict()

    async def audit(self, mail: CaughtMail) -> tuple[dict[str, Any], AuditSummary]:
        """The facts as `deliv facts` writes them, and the summary. Raises InputError where it cannot be read."""
        self._reported.pop(mail.capture.id, None)
        reported = await self.reported(mail)
        return document_of(reported.audited), self._summary(reported)

    async def reported(self, mail: CaughtMail) -> Reported:
        """The report, made now where it is not at hand. Raises InputError where the message cannot be read."""
        if mail.capture.id not in self._reported:
            made = await self._report_on(Job(self.settings.domain, _sample(mail), self.settings.options))
            self._reported[mail.capture.id] = made
            while len(self._reported) > _KEPT:
                self._reported.popitem(last=False)
        self._reported.move_to_end(mail.capture.id)
        return self._reported[mail.capture.id]

    async def report(self, mail: CaughtMail, ending: str, lang: str) -> str:
        """The report in the format of a file ending, exactly as `deliv audit -o` writes it."""
        return self.written(await self.reported(mail), ending, lang)

    async def domain_report(self, domain: str, ending: str, lang: str) -> str:
        """The report of a domain without a message. Raises InputError where it cannot be one."""
        return self.written(await self._report_on(Job(domain, options=self.settings.options)), ending, lang)

    async def _report_on(self, job: Job) -> Reported:
        ports = open_ports(self.settings.ports)
        try:
            wanted = Extras(remedies=True, html=job.sample is not None)
            return await report_on(job, ports, self.rules, self.settings.selection, wanted)
        finally:
            await ports.close()

    def written(self, reported: Reported, ending: str, lang: str) -> str:
        """A report in the format of a file ending. Raises KeyError where there is none of it."""
        form = FORMAT_OF[f".{ending}"]
        writer = form.writer(self.speaker(lang), WriterOptions(1, False, self.settings.fail_on, file=True))
        html = reported.audited.html if form.previews else None
        return writer.report(ReportView(reported.report, self.speaker(lang), key="", html=html or "")) + writer.end()

    @cache  # noqa: B019 - there is one room in a process, and it stays
    def speaker(self, lang: str) -> Speaker:
        """What speaks that language."""
        return Speaker(self.rules, catalogue(), lang, load_guide(rule_folders(self.settings.folders)))

    def _summary(self, reported: Reported) -> AuditSummary:
        report = reported.report
        answers = {lang: ReportView(report, self.speaker(lang), key="").answer for lang in LANGUAGES}
        leads = {lang: answer.lead for lang, answer in answers.items()}
        code, tone = exit_code(report, self.settings.fail_on), next(iter(answers.values())).tone
        return AuditSummary(report.assessment.grade, code, report.domain, leads, tone)


def _sample(mail: CaughtMail) -> Sample:
    """The message as an audit takes it. In its report it is called what it is called from within the folder."""
    name = mail.capture.name or f"{mail.capture.id}/{RAW}"
    path = mail.folder / mail.capture.id / RAW if mail.folder else None
    return Sample(name, path=path, data=mail.data, envelope=mail.capture.envelope)
