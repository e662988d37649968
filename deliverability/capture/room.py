"""What is done with a caught message in the worker process: audit it, write its report, and keep both at hand."""

from __future__ import annotations

from collections import OrderedDict
from functools import cache
from typing import Any

from msgspec.structs import replace

from deliverability.auditors import catalogue
from deliverability.capture.store import AuditSummary, CaughtMail
from deliverability.capture.worker import RoomSettings
from deliverability.inputs import Subject, parse_domain
from deliverability.judge.files import load_guide
from deliverability.model.placeholders import LANGUAGES
from deliverability.ports.open import open_ports
from deliverability.render.formats import FORMAT_OF, WriterOptions
from deliverability.runs.engine import Extras, Reported, report_on
from deliverability.runs.exit import exit_code
from deliverability.runs.rules import rule_folders
from deliverability.runs.saved import document_of
from deliverability.view.report import ReportView
from deliverability.words.speaker import Speaker

_MOST_REPORTS = 32


class CaptureRoom:
    """Audits, and the newest of what they gave. In a process of its own, for one call at a time."""

    def __init__(self, settings: RoomSettings) -> None:
        self.settings = settings
        self.rules, self.selection = settings.judging()
        self._reported: OrderedDict[str, Reported] = OrderedDict()

    async def ready(self) -> None:
        """Nothing: that there is a room means that its settings can be used."""

    async def audit(self, mail: CaughtMail) -> tuple[dict[str, Any], AuditSummary]:
        """The facts as `deliv facts` writes them, and the summary. Raises InputError where it cannot be read."""
        self._reported.pop(mail.capture.id, None)
        reported = await self.reported(mail)
        return document_of(reported.audited), self._summary(reported)

    async def reported(self, mail: CaughtMail) -> Reported:
        """The report, made now where it is not at hand. Raises InputError where the message cannot be read."""
        if mail.capture.id not in self._reported:
            made = await self._report_on(replace(self.settings.subject, sample=mail.sample))
            self._reported[mail.capture.id] = made
            while len(self._reported) > _MOST_REPORTS:
                self._reported.popitem(last=False)
        self._reported.move_to_end(mail.capture.id)
        return self._reported[mail.capture.id]

    async def report(self, mail: CaughtMail, ending: str, lang: str) -> str:
        """The report in the format of a file ending, exactly as `deliv audit -o` writes it."""
        return self.written(await self.reported(mail), ending, lang)

    async def domain_report(self, domain: str, ending: str, lang: str) -> str:
        """The report of a domain without a message. Raises InputError where it cannot be one."""
        subject = replace(self.settings.subject, domain=parse_domain(domain))
        return self.written(await self._report_on(subject), ending, lang)

    async def _report_on(self, subject: Subject) -> Reported:
        ports = open_ports(self.settings.ports)
        try:
            wanted = Extras(remedies=True, html=subject.sample is not None)
            return await report_on(subject, ports, self.rules, self.selection, wanted)
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
