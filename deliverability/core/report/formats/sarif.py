"""Reports as SARIF 2.1.0, for code scanning and editors.

Every result has a physical location in the repository, with a line: GitHub refuses a whole file for a result without.
It is where the record stands in a zone file, else the message, else where the settings name the domain, else a path
that is there for no other purpose and stays the same: ``dns/example.com/TXT``.

Results are what needs attention: unmet requirements (kind ``fail``) and those that could not be checked (kind
``open``). What is met, does not apply or waits for an input gives none. All subjects share one run, because consumers
limit the number of runs; its rules stand behind the results, so that nothing but them is kept while results stream.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any
from urllib.parse import quote

from deliverability.core.codec import json_text, printable
from deliverability.core.facts.base import EvidenceKind
from deliverability.core.model.report import Report
from deliverability.core.model.rules import Rule, Severity
from deliverability.core.report.findings import FindingView
from deliverability.core.report.formats.table import WriterOptions
from deliverability.core.report.report import ReportView
from deliverability.core.words.sentences import visible
from deliverability.core.words.speaker import Speaker, cited
from deliverability.core.words.steps import filled_texts, rule_short

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_PLACE = re.compile("(.+):([1-9][0-9]{0,8})", re.DOTALL)
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note", Severity.NONE: "none"}


def writer(speaker: Speaker, options: WriterOptions) -> SarifWriter:
    """The writer of this format."""
    return SarifWriter(speaker, options)


class SarifWriter:
    """One log with one run; of the reports only the rules with results and a line on failures are kept.

    Equal reports give equal bytes.
    """

    def __init__(self, speaker: Speaker, options: WriterOptions) -> None:
        self._speaker = speaker
        self._options = options
        self._rules: dict[str, Rule] = {}
        self._places: dict[str, int] = {}
        self._notifications: list[dict[str, Any]] = []
        self._started = ""
        self._version = ""
        self._sound = True
        self._judged = ""
        self._begun = False
        self._any = False

    def report(self, view: ReportView) -> str:
        """The results of the next report."""
        text = self._head()
        self._started = self._started or view.report.run.started
        self._version = self._version or view.version
        self._judged = self._judged or view.judged
        failures: dict[tuple[str, bool], list[str]] = {}
        for each in view.findings:
            if each.failed:
                failures.setdefault((each.words.message, each.is_bug), []).append(each.rule.id)
            if each.is_unmet or each.failed:
                text += (",\n" if self._any else "\n") + _dump(self._result(each, view.report))
                self._any = True
        for (message, bug), rules in failures.items():
            self._sound = self._sound and not bug
            shown = f"{view.subject}: {message} ({', '.join(dict.fromkeys(rules))})"
            self._notifications.append({"level": "error" if bug else "warning", "message": {"text": shown}})
        return text

    def end(self) -> str:
        """The rules behind the results, and how the run went."""
        driver: dict[str, Any] = {
            "name": "deliv",
            "language": self._speaker.lang,
            "rules": [_rule(rule, self._speaker) for rule in self._rules.values()],
        }
        if self._version:
            driver["semanticVersion"] = semantic_version(self._version)
        invocation: dict[str, Any] = {"executionSuccessful": self._sound}
        if self._started:
            invocation["startTimeUtc"] = printable(self._started)
        if self._notifications:
            invocation["toolExecutionNotifications"] = self._notifications
        limited = f'"properties": {_dump({"judged": self._judged})},\n' if self._judged else ""
        tail = f'],\n{limited}"tool": {_dump({"driver": driver})},\n"invocations": {_dump([invocation])},\n'
        return self._head() + tail + f'"language": {_dump(self._speaker.lang)}\n}}]\n}}\n'

    def _head(self) -> str:
        if self._begun:
            return ""
        self._begun = True
        return f'{{\n"$schema": "{SCHEMA}",\n"version": "2.1.0",\n"runs": [{{\n"results": ['

    def _result(self, view: FindingView, report: Report) -> dict[str, Any]:
        ident = view.rule.id
        self._rules.setdefault(ident, view.rule)
        index = self._places.setdefault(ident, len(self._places))
        domain = visible(report.domain)
        place = {"name": view.item or domain or visible(report.message), "kind": "resource"}
        # Items of a domain's own things begin with its name (a key: domain/selector), others do not (a part: 1.2).
        whole = view.item.startswith(domain) or not domain
        place["fullyQualifiedName"] = view.item if view.item and whole else "/".join(filter(None, (domain, view.item)))
        uri, line = self._place(view, report)
        physical = {"artifactLocation": {"uri": uri}, "region": {"startLine": line}}
        location: dict[str, Any] = {"physicalLocation": physical, "logicalLocations": [place]}
        properties: dict[str, Any] = {"domain": domain, "severity": view.finding.severity.value}
        effects = {
            receiver: {"effect": effect.value, "codes": list(codes)}
            for receiver, (effect, codes) in view.effects().items()
        }
        if effects:
            properties["receivers"] = effects
        if view.records:
            properties["records"] = list(view.records)
        suppressed = {"kind": "external", "status": "accepted", "justification": view.waived}
        return {
            "ruleId": ident,
            "ruleIndex": index,
            # By the standard only `fail` has a level other than none.
            "kind": "open" if view.failed else "fail",
            "level": "none" if view.failed else _LEVELS[view.finding.severity],
            "message": {"text": view.words.message},
            "locations": [location],
            "partialFingerprints": {"finding/v1": view.finding.fingerprint or f"{ident}/{place['fullyQualifiedName']}"},
            # Readers of code scanning close what is suppressed, and an empty list says that nothing is.
            "suppressions": [suppressed] if view.waived else [],
            "properties": properties,
        }

    def _place(self, view: FindingView, report: Report) -> tuple[str, int]:
        """The path of a file in the repository, and the line."""
        known = report.facts.evidence
        seen = [known[ident] for ident in view.finding.evidence if ident in known]
        message = f"{report.message}:1" if report.message not in ("", "-") else ""
        for place in (*(each.place for each in seen), message, self._options.places.get(report.domain, "")):
            if match := _PLACE.fullmatch(place):
                return _uri(match[1], self._options.folder), int(match[2])
        asked = next((each.asked.split(" ") for each in seen if each.kind is EvidenceKind.DNS), [])
        parts = ["dns", *reversed(asked[:2])] if len(asked) == 2 else ["dns", report.domain or "message"]
        return "/".join(quote(printable(part), safe="") if part.strip(".") else "root" for part in parts), 1


def _rule(rule: Rule, speaker: Speaker) -> dict[str, Any]:
    """A rule with its own words; facts in them are shown by name."""
    say, texts = speaker.say, filled_texts(rule, speaker.lang)
    steps = [f"{number}. {step}" for number, step in enumerate(texts.steps, 1)]
    known = speaker.rules.sources
    sources = [cited(known[ref.ref], say) for ref in rule.sources if ref.ref in known]
    links = [f"- [{_text(each.title)}]({each.url})" if each.url else f"- {_text(each.title)}" for each in sources]
    markdown = [_text(texts.why), f"**{say('page.fix')}**", "\n".join(_text(step) for step in steps)]
    markdown += [f"**{say('page.sources')}**", "\n".join(links)] if links else []
    shape: dict[str, Any] = {
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": rule_short(rule, speaker.lang)},
        "fullDescription": {"text": texts.why},
        "help": {"text": "\n".join((texts.why, *steps)), "markdown": "\n\n".join(markdown)},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {
            "tags": [rule.topic],
            "precision": {"high": "very-high", "medium": "high", "low": "medium"}[rule.confidence.value],
            "level": rule.level.value,
            "effort": rule.effort.value,
        },
    }
    helped = next((each.url for each in sources if each.url.startswith(("https://", "http://"))), None)
    return shape | ({"helpUri": helped} if helped else {})


def _text(text: str) -> str:
    """Rule texts hold placeholders in angle brackets, which Markdown would take for tags."""
    return text.replace("<", "\\<")


def _uri(name: str, folder: str) -> str:
    """A file name as a URI reference below the folder; of a file elsewhere, its last part."""
    path = posixpath.normpath(name.replace("\\", "/"))
    if folder and path.startswith("/"):
        path = posixpath.relpath(path, folder.replace("\\", "/"))
    if path.startswith(("/", "../")) or path in (".", "..") or re.match("[A-Za-z]:/", path):
        path = path.strip("./").rpartition("/")[2] or "file"
    return quote(path.encode("utf-8", "surrogateescape"))


def _dump(data: Any) -> str:
    return json_text(data)


def semantic_version(version: str) -> str:
    """A version of Python's (PEP 440) as SARIF wants it: 1.0.0rc1 is 1.0.0-rc.1 (SARIF 2.1.0 section 3.19.12)."""
    return re.sub(r"(?<=\d)(a|b|rc)(\d+)", r"-\1.\2", version)
