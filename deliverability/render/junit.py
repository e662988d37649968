"""Reports as JUnit XML, for build servers.

A suite per subject, a case per rule and item. A failure is an unmet requirement from the ``--fail-on`` severity on,
an error one that could not be checked there; so a build fails exactly where the exit code is not 0. What does not
apply, waits for an input or is accepted by the user is skipped; milder findings pass and say what was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from deliverability.model.report import Report
from deliverability.model.rules import Severity
from deliverability.view.findings import Told, as_tuple, subject_name, tell
from deliverability.words.sentences import visible
from deliverability.words.speaker import Speaker


def render_junit(
    reports: Report | Sequence[Report], speaker: Speaker, *, fail_on: Severity | None = Severity.ERROR
) -> str:
    """One document for one report or several. `fail_on` None: no finding is a failure."""
    writer = JunitWriter(speaker, fail_on=fail_on)
    return "".join(writer.report(each) for each in as_tuple(reports)) + writer.end()


class JunitWriter:
    """The same piece by piece; nothing is kept."""

    def __init__(self, speaker: Speaker, *, fail_on: Severity | None) -> None:
        self._speaker = speaker
        self._fail_on = fail_on
        self._begun = False

    def report(self, report: Report) -> str:
        """The suite of the next report."""
        lines: list[str] = []
        counts = {"failure": 0, "error": 0, "skipped": 0, "system-out": 0, "": 0}
        for told in tell(report, self._speaker):
            kind = self._kind(told)
            counts[kind] += 1
            lines += _case(told, kind)
        head = {
            "name": subject_name(report, self._speaker.lang),
            "tests": str(sum(counts.values())),
            "failures": str(counts["failure"]),
            "errors": str(counts["error"]),
            "skipped": str(counts["skipped"]),
            "timestamp": visible(report.run.started.removesuffix("Z")),
            "time": "0",
        }
        return "\n".join((self._head() + f"<testsuite{_attributes(head)}>", *lines, "</testsuite>")) + "\n"

    def end(self) -> str:
        """What closes the document."""
        return self._head() + "</testsuites>\n"

    def _head(self) -> str:
        if self._begun:
            return ""
        self._begun = True
        return '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="deliv">\n'

    def _kind(self, told: Told) -> str:
        """The element that tells the result; empty where nothing is to be said."""
        if told.waived:
            return "skipped"
        counts = self._fail_on is not None and told.finding.severity.rank >= self._fail_on.rank
        if told.is_unmet:
            return "failure" if counts else "system-out"
        if told.failed:
            return "error" if counts or told.is_bug else "skipped"
        return "" if told.state == "met" else "skipped" if told.state in ("waiting", "not-applicable") else "system-out"


def _case(told: Told, kind: str) -> list[str]:
    name = f"{told.rule.id} {told.words.title}" + (f" [{told.item}]" if told.item else "")
    opening = f"<testcase{_attributes({'classname': f'deliv.{told.rule.topic}', 'name': name, 'time': '0'})}"
    if not kind:
        return [f"{opening}/>"]
    message = f"{told.words.message} ({told.waived})" if told.waived else told.words.message
    if kind == "system-out":
        return [f"{opening}><system-out>{escape(message)}</system-out></testcase>"]
    if kind == "skipped":
        return [f"{opening}><skipped{_attributes({'message': message})}/></testcase>"]
    reason = told.finding.unknown.reason.value if told.finding.unknown else told.finding.severity.value
    body = [message]
    if kind == "failure":
        effects = told.effects().items()
        body += ["", told.words.why, ""]
        body += [f"{number}. {step}" for number, step in enumerate(told.words.fix, 1)]
        body += [f"{receiver}: {effect.value} {' / '.join(codes)}".rstrip() for receiver, (effect, codes) in effects]
    text = escape("\n".join(body))
    return [f"{opening}><{kind}{_attributes({'message': message, 'type': reason})}>{text}</{kind}></testcase>"]


def _attributes(values: dict[str, str]) -> str:
    """Attributes in XML. Characters that XML cannot carry never come here: `visible` has written them out."""
    return "".join(f" {name}={quoteattr(visible(value))}" for name, value in values.items())
