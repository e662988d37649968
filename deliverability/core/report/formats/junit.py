"""Reports as JUnit XML, for build servers.

A suite per subject, a case per rule and item. A failure is an unmet requirement from the ``--fail-on`` severity on,
an error one that could not be checked there; so a build fails exactly where the exit code is not 0. What does not
apply, waits for an input or is accepted by the user is skipped; milder findings pass and say what was found. Where only
the verdicts of receivers keep the exit code from being 0, one case says so.
"""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from deliverability.core.model.rules import Severity
from deliverability.core.report.findings import FindingView
from deliverability.core.report.formats.table import WriterOptions
from deliverability.core.report.report import ReportView
from deliverability.core.words.sentences import visible
from deliverability.core.words.speaker import Speaker


def writer(speaker: Speaker, options: WriterOptions) -> JunitWriter:
    """The writer of this format."""
    return JunitWriter(options.fail_on)


class JunitWriter:
    """A suite for each report; nothing is kept. `fail_on` None: no finding is a failure."""

    def __init__(self, fail_on: Severity | None) -> None:
        self._fail_on = fail_on
        self._begun = False

    def report(self, view: ReportView) -> str:
        """The suite of the next report."""
        lines: list[str] = []
        counts = {"failure": 0, "error": 0, "skipped": 0, "system-out": 0, "": 0}
        for each in view.findings:
            kind = self._kind(each)
            counts[kind] += 1
            lines += _case(each, kind)
        if self._fail_on is not None and not (counts["failure"] or counts["error"]) and view.report.verdict_code:
            kind = "failure" if view.report.verdict_code == 1 else "error"
            counts[kind] += 1
            lines += _verdicts(view, kind)
        head = {
            "name": view.subject,
            "tests": str(sum(counts.values())),
            "failures": str(counts["failure"]),
            "errors": str(counts["error"]),
            "skipped": str(counts["skipped"]),
            "timestamp": visible(view.report.run.started.removesuffix("Z")),
            "time": "0",
        }
        opening = self._head() + f"<testsuite{_attributes(head)}>"
        if view.judged:
            judged = _attributes({"name": "judged", "value": view.judged})
            opening += f"<properties><property{judged}/></properties>"
        return "\n".join((opening, *lines, "</testsuite>")) + "\n"

    def end(self) -> str:
        """What closes the document."""
        return self._head() + "</testsuites>\n"

    def _head(self) -> str:
        if self._begun:
            return ""
        self._begun = True
        return '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="deliv">\n'

    def _kind(self, view: FindingView) -> str:
        """The element that tells the result; empty where nothing is to be said."""
        if view.waived:
            return "skipped"
        counts = self._fail_on is not None and view.finding.severity.rank >= self._fail_on.rank
        if view.is_unmet:
            return "failure" if counts else "system-out"
        if view.failed:
            return "error" if counts or view.is_bug else "skipped"
        return "" if view.state == "met" else "skipped" if view.state in ("waiting", "not-applicable") else "system-out"


def _verdicts(view: ReportView, kind: str) -> list[str]:
    """The case of a run that no finding fails, though what receivers do is not known."""
    name = _attributes({"classname": "deliv.verdicts", "name": "verdicts", "time": "0"})
    lead = view.answer.lead
    return [f"<testcase{name}><{kind}{_attributes({'message': lead, 'type': kind})}>{escape(lead)}</{kind}></testcase>"]


def _case(view: FindingView, kind: str) -> list[str]:
    # Whatever the outcome: the name tells a test from others over many runs.
    name = f"{view.rule.id} {view.words.noun}" + (f" [{view.item}]" if view.item else "")
    opening = f"<testcase{_attributes({'classname': f'deliv.{view.rule.topic}', 'name': name, 'time': '0'})}"
    if not kind:
        return [f"{opening}/>"]
    message = f"{view.words.message} ({view.waived})" if view.waived else view.words.message
    if kind == "system-out":
        return [f"{opening}><system-out>{escape(message)}</system-out></testcase>"]
    if kind == "skipped":
        return [f"{opening}><skipped{_attributes({'message': message})}/></testcase>"]
    reason = view.finding.unknown.reason.value if view.finding.unknown else view.finding.severity.value
    body = [message]
    if kind == "failure":
        effects = view.effects().items()
        body += ["", view.words.why, ""]
        body += [f"{number}. {step}" for number, step in enumerate(view.words.fix, 1)]
        body += [f"{receiver}: {effect.value} {' / '.join(codes)}".rstrip() for receiver, (effect, codes) in effects]
    text = escape("\n".join(body))
    return [f"{opening}><{kind}{_attributes({'message': message, 'type': reason})}>{text}</{kind}></testcase>"]


def _attributes(values: dict[str, str]) -> str:
    """Attributes in XML. Characters that XML cannot carry never come here: `visible` has written them out."""
    return "".join(f" {name}={quoteattr(visible(value))}" for name, value in values.items())
