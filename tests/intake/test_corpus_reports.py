"""Every report of the corpus is read, or refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from deliverability.core.model.observed import AggregateReport
from deliverability.core.replies.limits import NotReadError
from deliverability.intake.events import json_values
from deliverability.intake.places import DocumentKind, Unreadable, documents
from deliverability.intake.reports import failure_report, read_aggregate, tls_report
from tests.corpus import corpus
from tests.intake.reports import NOW, Rows

EXPECTED = yaml.safe_load((Path(__file__).parent / "expected.yaml").read_text(encoding="utf-8"))


def found(octets: bytes) -> dict[str, object]:
    """What the first report in a file says, as expected.yaml writes it."""
    reason = ""
    for document in documents(octets):
        if isinstance(document, Unreadable):
            return {"none": document.detail.code}
        try:
            if document.kind is DocumentKind.MAIL:
                if document.mail and (failure := failure_report(document.mail)):
                    return {"failure": failure.domain}
            elif document.kind is DocumentKind.JSON:
                policies = tls_report(next(json_values(document.pieces()), None), NOW).policies
                return {"tls": [sum(each.succeeded for each in policies), sum(each.failed for each in policies)]}
            else:
                return _aggregate(read_aggregate(document.pieces, Rows(), NOW))
        except NotReadError as error:
            reason = reason or error.detail.code
    return {"none": reason}


def _aggregate(report: AggregateReport) -> dict[str, object]:
    said: dict[str, object] = {"records": report.records, "messages": report.messages}
    if report.unread:
        said["unread"] = report.unread
    if not report.complete:
        said["complete"] = False
    if report.problems:
        said["problems"] = [each.code for each in report.problems]
    return said


@pytest.mark.parametrize("name", EXPECTED)
def test_report(name: str) -> None:
    assert found(corpus("reports", name).read_bytes()) == EXPECTED[name]


def test_no_report_of_the_corpus_is_left_out() -> None:
    folder = corpus("reports")
    files = {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()} - {"README.md"}
    assert files == set(EXPECTED)
