"""Senders set up as the services' manuals have them, and one fault each: what do all receivers do with their mail?

The cases, the expected verdicts and where these are from: tests/known_senders/README.md.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any
from unittest import mock

import dkim
import pytest
import yaml
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.core.codec import encode
from deliverability.core.facts.base import Purpose
from deliverability.core.inputs import Sample, Subject
from deliverability.core.model.report import Case, Consequence, Outcome, Report, Verdict, VerdictKind
from deliverability.core.model.rules import Scope, Severity
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.net.zone import ZoneResolver
from deliverability.core.rules.judge import Selection
from deliverability.core.rules.knowledge import shipped
from deliverability.engine.audit import Audited, gather_facts, make_report
from deliverability.engine.rules import exit_code, load_rules
from tests import TESTS
from tests.named_receivers import named_rules
from tests.signing import published, seal_arc

pytestmark = pytest.mark.long

FOLDER = TESTS / "known_senders"
SENT = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
NOW = datetime(2026, 11, 25, tzinfo=UTC)
RULES = named_rules()
RECEIVERS = tuple(RULES.receivers)

# What a receiver may ask of the author domain though the manual of no service does: docomo, SoftBank and au.
OF_THE_AUTHOR_DOMAIN = {"SPF-026", "NET-018"}
ROWS = range(1, 15)
"""The rows of the table in the README: cases in which verdicts were once false."""


class Sender(Struct, frozen=True):
    """One case of the data files: a domain with its records, a mail, and what is right."""

    id: str
    says: str
    zone: str
    sources: Sequence[str]
    grade: str
    exit: int
    expect: Mapping[str, Any] = field(default_factory=dict)
    healthy: bool = False
    domain: str = "example.jp"
    row: int | None = None
    mail: Sequence[Mapping[str, Any]] = ()
    purpose: str | None = None
    daily_volume: int | None = None
    decides: str | None = None
    unmet: Mapping[str, str] = field(default_factory=dict)
    remarks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    closed: bool | None = None

    def expected(self) -> dict[str, Any]:
        """What is expected of each receiver; the data name those together that do the same. Others accept."""
        named = {receiver: told for names, told in self.expect.items() for receiver in names.split(", ")}
        accepts = "accepted" if self.mail else "dns-ready"
        return dict.fromkeys(RECEIVERS, accepts) | named


def _load(name: str, *, healthy: bool) -> list[Sender]:
    cases = yaml.safe_load((FOLDER / name).read_text("utf-8"))
    return [Sender(**case, healthy=healthy) for case in cases]


CASES = [*_load("healthy.yaml", healthy=True), *_load("faults.yaml", healthy=False)]
each_case = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])


# --- building a zone and a mail ---------------------------------------------------------------------------------------


@cache
def _pem(key: str) -> bytes:
    return (FOLDER / "keys" / f"{key}.pem").read_bytes()


@cache
def _private(key: str) -> Any:
    return load_pem_private_key(_pem(key), None, unsafe_skip_rsa_key_validation=True)


@cache
def _key_record(key: str) -> str:
    """The key record in the quotes of a master file, in strings of at most 255 octets."""
    text = published(_private(key))
    return " ".join(f'"{text[start : start + 255]}"' for start in range(0, len(text), 255))


def _zones(case: Sender) -> ZoneResolver:
    """The records of the services and of the case as one master file, with the key records that it names."""
    text = (FOLDER / "services.zone").read_text("utf-8") + case.zone
    for path in (FOLDER / "keys").iterdir():
        text = text.replace(f"<{path.stem}>", _key_record(path.stem))
    return ZoneResolver([("known-senders.zone", text.encode())])


def _write(mail: bytes, step: Mapping[str, Any]) -> bytes:
    """`letter` or `newsletter`, from the address `from`; `without`: fields to leave out."""
    text = (FOLDER / f"{step['write']}.txt").read_text("utf-8").replace("{from}", step["from"])
    head, body = text.split("\n\n", 1)
    kept = [line for line in head.splitlines() if line.split(":")[0] not in step.get("without", ())]
    return _crlf("\n".join(kept) + "\n\n" + body)


def _attach(mail: bytes, step: Mapping[str, Any]) -> bytes:
    """A table of that many octets beside the text, in base64."""
    head, text = mail.split(b"\r\n\r\n", 1)
    kept = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-")]
    table = base64.encodebytes(b"2026-11-24,1500\n" * (step["attach"] // 16)).replace(b"\n", b"\r\n")
    return b"".join(
        (
            b"\r\n".join(kept),
            b'\r\nContent-Type: multipart/mixed; boundary="=_b"\r\n\r\n--=_b\r\nContent-Type: text/plain\r\n\r\n',
            text,
            b'--=_b\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename="sales.csv"\r\n',
            b"Content-Transfer-Encoding: base64\r\n\r\n",
            table,
            b"--=_b--\r\n",
        )
    )


def _sign(mail: bytes, step: Mapping[str, Any]) -> bytes:
    """A DKIM signature of dkimpy on top, as the domain `sign`."""
    names = step.get("fields", "from to subject date message-id list-unsubscribe list-unsubscribe-post mime-version")
    present = {line.split(b":")[0].lower().decode() for line in mail.split(b"\r\n\r\n", 1)[0].split(b"\r\n")}
    with mock.patch("dkim.time.time", return_value=SENT.timestamp()):
        signature = dkim.DKIM(mail).sign(
            step["selector"].encode(),
            step["sign"].encode(),
            _pem(step.get("key", "rsa2048")),
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=[name.encode() for name in names.split() if name in present],
        )
    return bytes(signature) + mail


def _seal(mail: bytes, step: Mapping[str, Any]) -> bytes:
    """A set of ARC fields on top, sealed as the domain `seal`."""
    return seal_arc(mail, _private("rsa2048"), domain=step["seal"], selector=step["selector"])


def _change(mail: bytes, step: Mapping[str, Any]) -> bytes:
    """What stands on the left is replaced by what stands on the right."""
    for old, new in step["change"].items():
        assert mail.count(_crlf(old)) == 1, f"{old!r} is not in the mail once"
        mail = mail.replace(_crlf(old), _crlf(new))
    return mail


def _receive(mail: bytes, step: Mapping[str, Any]) -> bytes:
    """Trace fields of a server that took it over from the host `receive` (HELO and PTR) with that address."""
    received = (
        f"Return-Path: <{step['return_path']}>\n"
        f"Received: from {step['receive']} ({step.get('ptr', step['receive'])} [{step['ip']}])\n"
        "\tby mx.example.net (Postfix) with ESMTPS id 4F1\n"
        "\tfor <bob@example.net>; Tue, 24 Nov 2026 01:00:02 +0000\n"
    )
    return _crlf(received) + mail


def _add(mail: bytes, step: Mapping[str, Any]) -> bytes:
    """Header fields, as they stand, on top."""
    return _crlf(step["add"]) + mail


_STEPS: Mapping[str, Callable[[bytes, Mapping[str, Any]], bytes]] = {
    "write": _write,
    "attach": _attach,
    "sign": _sign,
    "seal": _seal,
    "change": _change,
    "receive": _receive,
    "add": _add,
}


def _crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def _mail(case: Sender) -> bytes:
    mail = b""
    for step in case.mail:
        mail = _STEPS[next(iter(step))](mail, step)
    return mail


# --- auditing it ------------------------------------------------------------------------------------------------------


@cache
def _audited(ident: str) -> Audited:
    case = next(each for each in CASES if each.id == ident)
    options = Subject(purpose=Purpose(case.purpose) if case.purpose else None, daily_volume=case.daily_volume)
    sample = Sample(f"{ident}.eml", data=_mail(case)) if case.mail else None
    ports = replace(open_ports(PortSettings(offline=True)), dns=_zones(case), clock=FixedClock(NOW), sources=("zone",))
    audited = asyncio.run(gather_facts(replace(options, domain=case.domain, sample=sample), ports))
    assert audited.crashes == ()
    return audited


@cache
def _report(ident: str) -> Report:
    """Under the eyes of the receivers that are judged where the user names none."""
    return make_report(_audited(ident), RULES, Selection())


def _verdicts(ident: str) -> dict[str, Verdict]:
    """Under the eyes of all receivers."""
    report = make_report(_audited(ident), RULES, Selection(receivers=RECEIVERS))
    return {verdict.receiver: verdict for verdict in report.verdicts}


def _effect(told: Consequence, *, codes: bool) -> str:
    """Such as ``may reject (550 5.7.515)``."""
    effect = f"may {told.effect}" if told.contested else str(told.effect)
    return f"{effect} ({', '.join(told.codes)})" if codes and told.codes else effect


def _told(verdict: Verdict) -> Any:
    """A verdict as the data files have it."""
    # All receivers at once have no replies of their own.
    codes = not RULES.receivers[verdict.receiver].combines

    def because(kind: VerdictKind, effects: Sequence[Consequence]) -> Any:
        return {str(kind): {each.rule: _effect(each, codes=codes) for each in effects}} if effects else str(kind)

    def case(of: Case | None) -> Any:
        assert of is not None
        return because(of.verdict, replace(verdict, verdict=of.verdict, effects=of.effects).deciding)

    if verdict.verdict is VerdictKind.DEPENDS:
        return {"depends": {"small": case(verdict.if_small), "bulk": case(verdict.if_bulk)}}
    return because(verdict.verdict, verdict.deciding)


def _unmet(report: Report) -> dict[str, str]:
    """The rules about delivery that are unmet, with their severity where that is more than info."""
    return {
        finding.rule: str(finding.severity)
        for finding in report.findings
        if finding.outcome is Outcome.UNMET
        and finding.scope is Scope.DELIVERY
        and finding.severity.rank >= Severity.WARNING.rank
    }


# --- what has to hold -------------------------------------------------------------------------------------------------


@each_case
def test_every_receiver_does_what_its_own_page_says(case: Sender) -> None:
    expected, got = case.expected(), {receiver: _told(each) for receiver, each in _verdicts(case.id).items()}
    wrong = [
        f"{RULES.receivers[receiver].name['en']}: expected {_sentence(expected[receiver])}, got {_sentence(told)}"
        for receiver, told in got.items()
        if told != expected[receiver]
    ]
    assert not wrong, f"{case.says}\n" + "\n".join(wrong)


def _sentence(told: Any) -> str:
    """A verdict of the data files in words, such as ``rejected because DMARC-025 reject (550 5.7.509)``."""
    if isinstance(told, str):
        return told
    [(kind, why)] = told.items()
    if kind == "depends":
        return f"depends (small: {_sentence(why['small'])}; bulk: {_sentence(why['bulk'])})"
    return f"{kind} because " + ", ".join(f"{rule} {effect}" for rule, effect in why.items())


@pytest.mark.parametrize("case", [each for each in CASES if each.healthy], ids=lambda case: case.id)
def test_nobody_refuses_a_healthy_sender(case: Sender) -> None:
    """Nor does a receiver that the data do not name."""
    rules = load_rules()
    verdicts = make_report(_audited(case.id), rules, Selection(receivers=tuple(rules.receivers))).verdicts
    assert [each.receiver for each in verdicts if each.verdict is VerdictKind.REJECTED] == []


@each_case
def test_nothing_else_about_delivery_is_unmet(case: Sender) -> None:
    assert _unmet(_report(case.id)) == case.unmet, case.says


@each_case
def test_grade_and_exit_code(case: Sender) -> None:
    report = _report(case.id)
    assert (report.assessment.grade, exit_code(report, Severity.ERROR)) == (case.grade, case.exit), case.says
    assert report.assessment.closed is case.closed
    assert report.failures == (), "a look-up failed: the zone lacks a name"


@each_case
def test_remarks_and_facts_are_as_the_case_says(case: Sender) -> None:
    verdicts = _verdicts(case.id)
    for receiver, remarks in case.remarks.items():
        got = {each.rule: _effect(each, codes=False) for each in verdicts[receiver].remarks}
        assert remarks.items() <= got.items(), f"{receiver}: {got}"
    facts = _audited(case.id).facts
    assert {path: encode(facts.value(path)) for path in case.facts} == case.facts


@each_case
def test_the_case_itself_is_whole(case: Sender) -> None:
    """The data say what they are there to say: all receivers, their sources, and one fault at most."""
    assert case.closed is not None or sorted(case.expected()) == sorted(RECEIVERS)
    assert case.sources, "where is it from?"
    for source in case.sources:
        known = shipped().services if source.startswith("senders: ") else RULES.sources
        assert source.removeprefix("senders: ") in known, source
    # `strict` takes everybody for a bulk sender, so that more than the one fault may decide.
    reasons = [_rules_of(told) for receiver, told in case.expected().items() if receiver != "strict"]
    if case.healthy:
        assert case.exit == 0
        assert not any(isinstance(told, dict) and "rejected" in told for told in case.expected().values())
        assert set(case.unmet).union(*reasons) <= OF_THE_AUTHOR_DOMAIN
    elif case.decides:
        assert all(case.decides in each for each in reasons if each)
        assert case.decides in set().union(*reasons)


def _rules_of(told: Any) -> set[str]:
    """The rules that a verdict of the data files rests on."""
    if isinstance(told, str):
        return set()
    [(kind, why)] = told.items()
    return set(why) if kind != "depends" else set().union(*map(_rules_of, why.values()))


def test_every_row_of_the_table_is_a_case() -> None:
    assert {case.row for case in CASES if case.row} == set(ROWS)
    assert len(CASES) >= 26
    assert len({case.id for case in CASES}) == len(CASES)


def test_signatures_are_real() -> None:
    """Another implementation finds the same as ours: this is no test of signatures against themselves."""
    case = next(each for each in CASES if each.id == "self-hosted-postfix")

    def txt(name: bytes, timeout: float = 5) -> bytes:
        answer = asyncio.run(_zones(case).query(name.decode(), "TXT"))
        return str(getattr(answer, "values", ("",))[0]).encode()

    mail = _mail(case)
    assert dkim.verify(mail, dnsfunc=txt)
    assert not dkim.verify(mail.replace(b"Friday", b"Monday"), dnsfunc=txt)
