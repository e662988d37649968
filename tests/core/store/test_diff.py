"""What changed between two runs, and why: each cause by a small pair of snapshots."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from deliverability.core.facts.base import (
    ALIAS,
    NO_NAME,
    NO_RECORD,
    Evidence,
    EvidenceKind,
    EvidenceLine,
    Fact,
    FactSet,
    Reason,
    Unknown,
    Value,
    failure,
)
from deliverability.core.model.history import (
    Cause,
    ChangeKind,
    Comparison,
    FindingChange,
    RecordKind,
    Snapshot,
    State,
    StoredFinding,
)
from deliverability.core.model.report import Assessment, Finding, Outcome, Verdict, VerdictKind
from deliverability.core.model.rules import Severity
from deliverability.core.store.causes import Judged
from deliverability.core.store.diff import compare
from tests.facts_of import value_of

OLD, NEW = "2026-11-16T06:00:00Z", "2026-11-23T06:00:00Z"
MET, UNMET, UNKNOWN = Outcome.MET, Outcome.UNMET, Outcome.UNKNOWN


def dns(question: str, *got: EvidenceLine) -> Evidence:
    rdtype, name = question.split()
    return Evidence(f"dns:{rdtype}:{name}", EvidenceKind.DNS, question, got)


def facts(values: Mapping[str, Value], *evidence: Evidence) -> FactSet:
    """Facts that all rest on all of the evidence."""
    cited = tuple(item.id for item in evidence)
    return FactSet(
        {path: Fact(path, value_of(path, value), cited) for path, value in values.items()},
        {item.id: item for item in evidence},
    )


def snapshot(outcome: Outcome, known: FactSet, started: str = OLD, **more: object) -> Snapshot:
    values: dict[str, object] = {
        "domain": "example.com",
        "source": "",
        "started": started,
        "inputs": {},
        "facts": known,
        "findings": (StoredFinding("SPF-003", "", "f", outcome, Severity.ERROR),),
        "assessment": Assessment((), "A"),
        "rules_digest": "r1",
    }
    return Snapshot(**{**values, **more})  # type: ignore[arg-type]


def finding(outcome: Outcome, known: FactSet, *, unknown: Unknown | None = None) -> Finding:
    return Finding(
        rule="SPF-003",
        item="",
        outcome=outcome,
        severity=Severity.ERROR,
        observed={fact.path: fact.value for fact in known},
        limits={},
        evidence=tuple(known.evidence),
        judgements=(),
        unknown=unknown,
        fingerprint="f",
    )


def told(
    before: Outcome,
    old: FactSet,
    after: Outcome,
    new: FactSet,
    *,
    rejudged: Outcome | None = None,
    states: Mapping[str, State] | None = None,
    old_more: Mapping[str, object] | None = None,
    new_more: Mapping[str, object] | None = None,
) -> Comparison:
    return compare(
        snapshot(before, old, **(old_more or {})),
        snapshot(after, new, NEW, **(new_more or {})),
        [finding(after, new)],
        {"f": State(before, OLD, OLD)} if states is None else states,
        Judged.of([finding(rejudged or before, old)]),
    )


def only(comparison: Comparison) -> FindingChange:
    (change,) = comparison.changes
    return change


def test_the_first_run_tells_everything_unmet_as_new_without_a_cause() -> None:
    known = facts({"spf.lookups": 11})
    comparison = compare(None, snapshot(UNMET, known, NEW), [finding(UNMET, known), finding(MET, known)], {})
    assert comparison.previous == ""
    assert (only(comparison).kind, only(comparison).since, only(comparison).causes) == (ChangeKind.NEW, NEW, ())


def test_the_domains_own_record_changed() -> None:
    comparison = told(
        MET,
        facts({"spf.lookups": 9}, dns("TXT example.com", "v=spf1 include:a.example -all")),
        UNMET,
        facts({"spf.lookups": 11}, dns("TXT example.com", "v=spf1 include:a.example include:b.example -all")),
    )
    change = only(comparison)
    assert (change.kind, change.causes, change.since) == (ChangeKind.NEW, (Cause.OWN_DNS,), NEW)
    assert change.records[0].old == ("v=spf1 include:a.example -all",)
    assert [(each.path, each.before, each.after) for each in change.facts] == [("spf.lookups", 9, 11)]
    assert [record.asked for record in comparison.records] == ["TXT example.com"]


def test_a_vendors_include_grew() -> None:
    own = dns("TXT example.com", "v=spf1 include:spf.vendor.example -all")
    change = only(
        told(
            MET,
            facts({"spf.lookups": 9}, own, dns("TXT spf.vendor.example", "v=spf1 a -all")),
            UNMET,
            facts({"spf.lookups": 11}, own, dns("TXT spf.vendor.example", "v=spf1 a mx include:c.example -all")),
        )
    )
    assert change.causes == (Cause.VENDOR,)
    assert [record.asked for record in change.records] == ["TXT spf.vendor.example"]


def test_a_key_behind_an_alias_that_stands_is_the_vendors() -> None:
    alias = ALIAS(name="s1.dkim.vendor.example")
    change = only(
        told(
            MET,
            facts({"dkim.bits": 2048}, dns("TXT s1._domainkey.example.com", alias, "v=DKIM1; p=AAAA")),
            UNMET,
            facts({"dkim.bits": 1024}, dns("TXT s1._domainkey.example.com", alias, "v=DKIM1; p=BB")),
        )
    )
    assert change.causes == (Cause.VENDOR,)


def test_an_alias_that_was_moved_is_the_domains_own_doing() -> None:
    change = only(
        told(
            MET,
            facts({"dkim.bits": 2048}, dns("TXT s1._domainkey.example.com", ALIAS(name="k.a.example"), "p=AAAA")),
            UNMET,
            facts({"dkim.bits": 1024}, dns("TXT s1._domainkey.example.com", ALIAS(name="k.b.example"), "p=BB")),
        )
    )
    assert change.causes == (Cause.OWN_DNS,)


def test_the_mail_changed() -> None:
    def header(digest: str) -> Evidence:
        return Evidence("header:from:1", EvidenceKind.HEADER, "From #1", (f"sha256:{digest}",))

    change = only(
        told(MET, facts({"message.from_count": 1}, header("a")), UNMET, facts({"message.from_count": 2}, header("b")))
    )
    assert change.causes == (Cause.MAIL,)
    assert change.records == (), "digests say nothing to a reader"


def test_our_rules_changed() -> None:
    known = facts({"spf.lookups": 9}, dns("TXT example.com", "v=spf1 -all"))
    change = only(told(MET, known, UNMET, known, rejudged=UNMET, new_more={"rules_digest": "r2"}))
    assert change.causes == (Cause.RULES,)


def test_another_severity_is_told_with_its_cause_and_since_when_it_is_unmet() -> None:
    old = facts({"spf.lookups": 11}, dns("TXT example.com", "a"))
    new = facts({"spf.lookups": 30}, dns("TXT example.com", "b"))
    mild = (StoredFinding("SPF-003", "", "f", UNMET, Severity.WARNING),)
    for known, more, causes in (
        (new, {}, (Cause.OWN_DNS,)),
        (old, {"rules_digest": "r2"}, (Cause.RULES,)),
    ):
        was = replace(finding(UNMET, old), severity=Severity.WARNING if known is new else Severity.ERROR)
        change = only(
            compare(
                snapshot(UNMET, old, findings=mild),
                snapshot(UNMET, known, NEW, **more),
                [finding(UNMET, known)],
                {"f": State(UNMET, "2026-10-05T06:00:00Z", OLD)},
                Judged.of([was]),
            )
        )
        assert (change.kind, change.was, change.severity) == (ChangeKind.RATED, Severity.WARNING, Severity.ERROR)
        assert (change.since, change.causes) == ("2026-10-05T06:00:00Z", causes)


def test_an_item_whose_look_up_failed_could_not_be_checked_although_its_list_was_read() -> None:
    old = facts({"mx.hosts": ()}, dns("A mx.example.com", "192.0.2.1"))
    new = facts({"mx.hosts": ()}, dns("A mx.example.com", failure(Reason.TIMEOUT)))
    comparison = compare(
        snapshot(UNMET, old), snapshot(MET, new, NEW, findings=()), [], {}, Judged.of([finding(UNMET, old)])
    )
    assert (only(comparison).kind, only(comparison).checked) == (ChangeKind.UNCHECKED, OLD)


@pytest.mark.parametrize(
    ("question", "before", "after", "removed"),
    [
        ("TXT _dmarc.example.com", ("v=DMARC1; p=none",), (NO_NAME(),), RecordKind.DMARC),
        ("TXT _dmarc.example.com", ("v=DMARC1; p=none",), ("v=DMARC1; p=reject",), None),
        ("TXT _dmarc.example.com", ("v=DMARC1; p=none",), ("V=DMARC 1; p=none",), None),
        ("TXT example.com", ("v=spf1 -all", "other"), ("other",), RecordKind.SPF),
        ("TXT example.com", ("v=spf1 -all", "other"), ("v=spf1 -all",), None),
        ("TXT example.com", ("other", "another"), ("other",), None),
        ("TXT s1._domainkey.example.com", ("k=rsa; p=AA",), (NO_RECORD(type="TXT"),), RecordKind.KEY),
        ("TXT s1._domainkey.example.com", ("k=rsa; p=AA",), ("k=rsa; p=",), None),
        ("MX example.com", ("10 mx.example.com",), (NO_RECORD(type="MX"),), None),
    ],
)
def test_a_record_is_removed_where_nothing_like_it_stands_there_any_more(
    question: str, before: tuple[str, ...], after: tuple[str, ...], removed: RecordKind | None
) -> None:
    comparison = told(MET, facts({"x": 1}, dns(question, *before)), UNMET, facts({"x": 2}, dns(question, *after)))
    assert [each.removed for each in comparison.records] == [removed]


def test_nothing_but_time_passed() -> None:
    record = dns("TXT example.com", "v=spf1 -all")
    change = only(told(MET, facts({"dkim.expired": False}, record), UNMET, facts({"dkim.expired": True}, record)))
    assert change.causes == (Cause.CLOCK,)


def test_what_follows_from_a_deleted_record_says_so_though_it_does_not_cite_it() -> None:
    """Whether a domain belongs to another depends on the DMARC record; the fact cites what was looked up for SPF."""
    spf = dns("TXT bounce.example.com", "v=spf1 -all")
    old = facts({"alignment.spf": "relaxed"}, spf)
    new = facts({"alignment.spf": "none"}, spf)

    def beside(known: FactSet, *got: EvidenceLine) -> FactSet:
        dmarc = dns("TXT _dmarc.example.com", *got)
        return replace(known, evidence={**known.evidence, dmarc.id: dmarc})

    there, gone = beside(old, "v=DMARC1; p=none"), beside(new, NO_NAME())
    ruled = Judged.of([finding(MET, old)])
    change = only(compare(snapshot(MET, there), snapshot(UNMET, gone, NEW), [finding(UNMET, new)], {}, ruled))
    assert change.causes == (Cause.OWN_DNS,)
    assert [(each.asked, each.removed) for each in change.records] == [("TXT _dmarc.example.com", RecordKind.DMARC)]


def test_without_anything_that_ended_the_cause_is_unclear() -> None:
    record = dns("TXT example.com", "v=spf1 -all")
    change = only(told(MET, facts({"spf.lookups": 1}, record), UNMET, facts({"spf.lookups": 2}, record)))
    assert change.causes == (Cause.UNCLEAR,)


def test_the_settings_changed() -> None:
    record = dns("TXT example.com", "v=spf1 -all")
    change = only(
        told(
            MET,
            facts({"spf.result": None}, record),
            UNMET,
            facts({"spf.result": "fail"}, record),
            new_more={"inputs": {"sending_ips": ("192.0.2.1",)}},
        )
    )
    assert change.causes == (Cause.SETTINGS,)


def test_several_causes_are_all_told() -> None:
    change = only(
        told(
            MET,
            facts({"spf.lookups": 9}, dns("TXT example.com", "a"), dns("TXT v.example", "b")),
            UNMET,
            facts({"spf.lookups": 11}, dns("TXT example.com", "c"), dns("TXT v.example", "d")),
        )
    )
    assert change.causes == (Cause.OWN_DNS, Cause.VENDOR)


def test_mended_and_still_there() -> None:
    old, new = (
        facts({"spf.lookups": 11}, dns("TXT example.com", "a")),
        facts({"spf.lookups": 9}, dns("TXT example.com", "b")),
    )
    change = only(told(UNMET, old, MET, new))
    assert (change.kind, change.causes) == (ChangeKind.MENDED, (Cause.OWN_DNS,))
    first = "2026-10-05T06:00:00Z"
    change = only(told(UNMET, old, UNMET, old, states={"f": State(UNMET, first, OLD)}))
    assert (change.kind, change.since, change.causes) == (ChangeKind.STILL, first, ())


def test_an_outage_is_neither_new_nor_mended() -> None:
    failed = Unknown(Reason.SERVFAIL, "TXT example.com")
    old = facts({"spf.lookups": 11}, dns("TXT example.com", "a"))
    down = facts({"spf.lookups": failed}, dns("TXT example.com", failure(Reason.SERVFAIL)))
    comparison = compare(
        snapshot(UNMET, old),
        snapshot(UNKNOWN, down, NEW),
        [finding(UNKNOWN, down, unknown=failed)],
        {"f": State(UNMET, "2026-10-05T06:00:00Z", OLD)},
        Judged.of([finding(UNMET, old)]),
    )
    change = only(comparison)
    assert (change.kind, change.before, change.checked) == (ChangeKind.UNCHECKED, UNMET, OLD)
    assert comparison.records == (), "a failed look-up is no change of a record"


def test_after_an_outage_it_is_compared_with_what_was_known_before() -> None:
    failed = facts({"spf.lookups": Unknown(Reason.TIMEOUT)}, dns("TXT example.com", failure(Reason.TIMEOUT)))
    back = facts({"spf.lookups": 11}, dns("TXT example.com", "a"))
    state = {"f": State(UNMET, "2026-10-05T06:00:00Z", "2026-11-09T06:00:00Z")}
    change = only(told(UNKNOWN, failed, UNMET, back, rejudged=UNKNOWN, states=state))
    assert (change.kind, change.since) == (ChangeKind.STILL, "2026-10-05T06:00:00Z")


def test_what_waits_for_a_message_is_nothing_to_tell() -> None:
    known = facts({"spf.lookups": 9})
    waiting = finding(UNKNOWN, known, unknown=Unknown(Reason.NO_MESSAGE))
    comparison = compare(snapshot(MET, known), snapshot(UNKNOWN, known, NEW), [waiting], {})
    assert comparison.changes == ()


def test_an_item_that_is_gone_does_not_apply_any_more() -> None:
    old = facts({"dkim.keys": ()}, dns("TXT s1._domainkey.example.com", "p=AA"))
    new = facts({"dkim.keys": ()}, dns("TXT s1._domainkey.example.com", NO_NAME()))
    comparison = compare(
        snapshot(UNMET, old), snapshot(MET, new, NEW, findings=()), [], {}, Judged.of([finding(UNMET, old)])
    )
    change = only(comparison)
    assert (change.kind, change.after, change.causes) == (
        ChangeKind.GONE,
        Outcome.NOT_APPLICABLE,
        (Cause.OWN_DNS,),
    )


def test_the_order_of_an_answer_is_no_change() -> None:
    old, new = (
        facts({"mx": 1}, dns("MX example.com", "10 a", "20 b")),
        facts({"mx": 1}, dns("MX example.com", "20 b", "10 a")),
    )
    assert told(MET, old, MET, new).records == ()


def test_verdicts_that_changed_are_named() -> None:
    def answer(kind: VerdictKind, grade: str) -> Assessment:
        return Assessment((Verdict("gmail", kind), Verdict("icloud", VerdictKind.ACCEPTED)), grade)

    known = facts({"spf.lookups": 9})
    comparison = told(
        MET,
        known,
        MET,
        known,
        old_more={"assessment": answer(VerdictKind.ACCEPTED, "A")},
        new_more={"assessment": answer(VerdictKind.REJECTED, "F")},
    )
    (change,) = comparison.verdicts
    assert (change.receiver, change.before, change.after) == ("gmail", VerdictKind.ACCEPTED, VerdictKind.REJECTED)
