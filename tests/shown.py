"""Reports for the tests of all formats: nothing wrong, several subjects, hostile names, remedies."""

from __future__ import annotations

from msgspec.structs import replace

from deliverability.core.codes import VERBATIM
from deliverability.core.facts.base import Reason, Unknown, Waiver
from deliverability.core.model.report import (
    Care,
    FactChange,
    Gain,
    Outcome,
    RecordEdit,
    Remedy,
    Report,
    Verdict,
    VerdictKind,
)
from tests.fixtures_report import FACTS, FINDINGS, assessed, facts, finding, make_report

# Everything that could end a cell, an attribute, a line or a block, steer a terminal or call somebody.
HOSTILE = "=x\"'<b>&\r\n\t,;|`[l](javascript:1)![i](x)\x1b[31m\x00\u202e@octocat #1 www.evil.example ```\\"
HOSTILE_DOMAIN = 'a"b|c`,@team.example\n## x'

GAIN = Gain("gmail", VerdictKind.AT_RISK, VerdictKind.ACCEPTED)
REMEDY = Remedy(
    rule="SPF-003",
    item="",
    code="spf-shorter",
    values={"domain": "example.com"},
    edits=(
        RecordEdit(
            "example.com",
            "TXT",
            ("v=spf1 include:_spf.google.com include:mail.vendor.example a mx ~all",),
            ("v=spf1 include:_spf.google.com ~all",),
        ),
    ),
    care=Care.CAREFUL,
    mends=("SPF-003",),
    changes=(FactChange("spf.lookups", 12, 4),),
    gains=(GAIN,),
)


def clean() -> Report:
    """Nothing to do and nothing open."""
    met = tuple(finding(ident, Outcome.MET) for ident in ("SPF-003", "SIZ-001", "NET-001"))
    accepted = (Verdict(name, VerdictKind.ACCEPTED) for name in ("icloud", "gmail"))
    return make_report(
        findings=met, assessment=assessed(*accepted), notes=(), domain="fine.example", message="", inputs={}
    )


def with_remedies() -> Report:
    """The usual report with a remedy and a gain."""
    first, *rest = FINDINGS
    return make_report(findings=(replace(first, gains=(GAIN,)), *rest), remedies=(REMEDY,), inputs={})


def hostile() -> Report:
    """The usual report with hostile names everywhere a stranger can put one."""
    edit = RecordEdit("x.example", "TXT", (HOSTILE,), (HOSTILE,))
    values = {**FACTS, "dmarc.policy": HOSTILE, "spf.record": HOSTILE}
    return make_report(
        domain=HOSTILE_DOMAIN,
        message=f"{HOSTILE}\udc80.eml",
        inputs={"helo": HOSTILE},
        facts=facts(values),
        findings=(
            replace(FINDINGS[0], observed={"spf.lookups": HOSTILE}, item=HOSTILE),
            replace(FINDINGS[1], item=HOSTILE, observed={"item.bits": HOSTILE}),
            replace(FINDINGS[3], observed={"dmarc.policy": HOSTILE}),
            finding("NET-001", Outcome.UNKNOWN, item=HOSTILE, unknown=Unknown(Reason.TIMEOUT, VERBATIM(text=HOSTILE))),
            finding("SIZ-001", Outcome.UNKNOWN, unknown=Unknown(Reason.BUG, VERBATIM(text=HOSTILE))),
        ),
        remedies=(replace(REMEDY, item=HOSTILE, edits=(edit,)),),
    )


def waived() -> Report:
    """The usual report, its most important finding accepted by the user."""
    first, *rest = FINDINGS
    waiver = Waiver("SPF-003", "handled-elsewhere", note=HOSTILE, until="2027-01-31")
    return make_report(findings=(replace(first, waiver=waiver), *rest), inputs={})


CASES: dict[str, tuple[Report, ...]] = {
    "clean": (clean(),),
    "usual": (with_remedies(),),
    "several": (with_remedies(), clean(), replace(clean(), domain="日本語.example", message="見積書.eml")),
    "hostile": (hostile(), hostile()),
    "waived": (waived(),),
}
