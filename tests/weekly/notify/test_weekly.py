"""The weekly mail, the webhook and the textfile: small, plain, in two languages, and good by our own rules."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from deliverability.console.settings import EmailSettings, NotifySettings, WebhookSettings
from deliverability.core.facts.base import Purpose
from deliverability.core.inputs import VARIABLE_UNSET, Subject
from deliverability.core.model.answer import ReceiverEffect
from deliverability.core.model.history import Cause, ChangeKind, Comparison, FindingChange, RecordChange, VerdictChange
from deliverability.core.model.report import FactChange, Outcome, VerdictKind
from deliverability.core.model.rules import Effect, Severity
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules
from deliverability.weekly.notify.mail import MAX_OCTETS, compose
from deliverability.weekly.notify.notifier import NOT_TAKEN, WAITS, Notifier, document, weekly_metrics
from deliverability.weekly.values import FindingText, ReceiverVerdict, Summary, WeeklyEntry, from_json, to_json
from tests.auditing import audit
from tests.weekly.notify.test_outbox import Server, free_port

NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
RULES = load_rules()
EMAIL = EmailSettings(("ops@example.com", "mail@example.com"), "deliv@example.com")


def change(kind: ChangeKind = ChangeKind.NEW, **more: Any) -> FindingChange:
    values: dict[str, Any] = {
        "kind": kind,
        "rule": "SPF-003",
        "item": "",
        "fingerprint": "f",
        "severity": Severity.ERROR,
        "before": Outcome.MET,
        "after": Outcome.UNMET,
        "since": "2026-11-23T06:00:00Z",
        "causes": (Cause.VENDOR,),
        "records": (RecordChange("TXT spf.v.example", ("v=spf1 a -all",), ("v=spf1 a mx -all",), Cause.VENDOR),),
        "facts": (FactChange("spf.lookups", 9, 11),),
        **more,
    }
    return FindingChange(**values)


def entry(
    domain: str = "shop.example", *changes: FindingChange, previous: str = "2026-11-16T06:00:00Z", **more: Any
) -> WeeklyEntry:
    said = {
        "en": {"f": FindingText("At most 10 lookups", "11 are needed.", "Remove one.")},
        "ja": {"f": FindingText("参照は10回まで", "11回必要です。", "1つ減らします。")},
    }
    values: dict[str, Any] = {
        "grade": "D",
        "verdicts": (
            ReceiverVerdict("gmail", VerdictKind.AT_RISK, (ReceiverEffect(Effect.SPAM),)),
            ReceiverVerdict("icloud", VerdictKind.ACCEPTED),
        ),
        "comparison": Comparison(
            domain,
            "",
            previous,
            changes,
            (VerdictChange("gmail", VerdictKind.ACCEPTED, VerdictKind.AT_RISK),) if changes else (),
        ),
        "texts": said,
        "counts": {"error": len(changes), "warning": 0, "info": 0},
        "pages": {"en": f"{domain}.html", "ja": f"{domain}.ja.html"},
        "measures": {"spf.lookups": 11},
        **more,
    }
    return WeeklyEntry(domain, "", "", **values)


def summary(entries: Sequence[WeeklyEntry], previous: str = "2026-11-16T06:00:00Z") -> Summary:
    return Summary("2026-11-23T06:00:00Z", previous, tuple(entries), 1, "2026-11-23")


def mail(
    entries: Sequence[WeeklyEntry], lang: str = "en", settings: EmailSettings = EMAIL, pages: Path = Path("gone")
) -> Any:
    made = compose(settings, summary(entries), RULES, catalogue(), lang, NOW, pages)
    return message_from_bytes(made.as_bytes(), policy=policy.default)


def test_an_entry_survives_being_written_and_read() -> None:
    for each in (entry("a.example", change(), change(ChangeKind.UNCHECKED, checked="2026-11-09T06:00:00Z")), entry()):
        assert from_json(json.loads(json.dumps(to_json(each)))) == each


def test_the_mail_says_first_who_does_what_now_and_why() -> None:
    made = mail([entry("calm.example"), entry("shop.example", change())])
    assert made["Subject"] == "deliv: Gmail now sends shop.example to the spam folder · 23 Nov"
    text = made.get_body(("plain",)).get_content()
    assert "shop.example: Gmail now sends its mail to the spam folder" in text.splitlines()[2]
    assert "A record outside your domain changed: spf.v.example." in text
    assert "SPF lookups 9 → 11" in text
    assert "Gmail: No known obstacle → At risk" in text
    assert "calm.example is still at risk at Gmail" in text
    html = made.get_body(("html",)).get_content()
    assert "<main>" in html
    assert "now sends its mail to the spam folder" in html
    assert "http" not in html.replace("http-equiv", ""), "nothing to load and nowhere to be sent to"


def test_in_japanese() -> None:
    made = mail([entry("shop.example", change())], "ja")
    assert made["Subject"].startswith("deliv：Gmailでshop.exampleが迷惑メール扱い")
    text = made.get_body(("plain",)).get_content()
    assert "参照は10回まで" in text
    assert "spf.v.example" in text


def test_a_quiet_week_has_a_mail_too_and_names_what_is_still_refused() -> None:
    refused = (ReceiverVerdict("gmail", VerdictKind.REJECTED), ReceiverVerdict("icloud", VerdictKind.REJECTED))
    made = mail([*(entry(f"d{number}.example") for number in range(20)), entry("bad.example", verdicts=refused)])
    assert made["Subject"] == "deliv: nothing changed, bad.example still rejected by 2 receivers · 23 Nov"
    lines = made.get_body(("plain",)).get_content().splitlines()
    assert "Nothing changed. Still rejected: bad.example at 2 receivers" in lines
    assert len(lines) <= 15


def test_of_a_first_run_nothing_is_called_new() -> None:
    first = Summary("2026-11-23T06:00:00Z", "", (entry("shop.example", change(), previous=""),), 1)
    made = compose(EMAIL, first, RULES, catalogue(), "en", NOW, Path("gone"))
    assert made["Subject"] == "deliv: first report, 1 domain · 23 Nov"
    assert "11 are needed" not in made.as_string()


def test_the_link_leads_to_where_the_pages_are_published() -> None:
    settings = EmailSettings(EMAIL.to, EMAIL.sender, pages="https://pages.example/deliv/")
    for lang, page in (("en", "index.html"), ("ja", "index.ja.html")):
        made = mail([entry()], lang, settings)
        for kind in ("plain", "html"):
            assert f"https://pages.example/deliv/{page}" in made.get_body((kind,)).get_content()


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.long
def test_it_stays_small_however_many_domains_there_are(lang: str) -> None:
    many = [entry(f"d{number}.example", *[change()] * 20) for number in range(300)]
    made = compose(EMAIL, summary(many), RULES, catalogue(), lang, NOW, Path("gone"))
    assert len(made.as_bytes()) < MAX_OCTETS
    rest = "more domains" if lang == "en" else "ほか"
    body = made.get_body(("plain",))
    assert body is not None
    assert rest in body.get_content()


def test_machines_can_tell_what_it_is() -> None:
    made = mail([entry()])
    assert made["List-Id"] == "deliv weekly <weekly.deliv.example.com>"
    assert made["Auto-Submitted"] == "auto-generated"
    assert made["Message-ID"].endswith("@example.com>")


def test_the_full_report_can_come_along(tmp_path: Path) -> None:
    (tmp_path / "shop.example.html").write_text("<p>whole</p>")
    made = mail([entry()], settings=EmailSettings(EMAIL.to, EMAIL.sender, attach=True), pages=tmp_path)
    assert [part.get_filename() for part in made.iter_attachments()] == ["shop.example.html"]


def test_hostile_names_stay_text() -> None:
    odd = entry("shop.example", change(item="<script>\u202e\x1b[31m\r\nBcc: x@y.example"))
    made = mail([odd])
    assert made["Bcc"] is None
    assert "<script>" not in made.get_body(("html",)).get_content()
    assert "\x1b" not in made.get_body(("plain",)).get_content()


@pytest.mark.parametrize("lang", ["en", "ja"])
async def test_it_passes_our_own_audit(lang: str) -> None:
    """Of the message itself: who signs it and which address sends it is the mail server's part."""
    raw = compose(EMAIL, summary([entry("a.example", change())]), RULES, catalogue(), lang, NOW, Path("gone"))
    report = await audit(
        Subject(purpose=Purpose.TRANSACTIONAL),
        message=raw.as_bytes(policy=policy.SMTP),
        ports=open_ports(PortSettings(offline=True)),
        remedies=False,
    )
    own = ("MSG", "SIZ", "HTM", "JPN", "CLI", "JA")
    unmet = [
        (each.rule, each.severity.value)
        for each in report.findings
        if each.outcome is Outcome.UNMET and each.rule.startswith(own) and each.severity is not Severity.INFO
    ]
    assert unmet == []


# --- Webhook and textfile ---


def test_the_webhook_gets_the_summary(tmp_path: Path) -> None:
    run = summary([entry()])
    (tmp_path / "summary.json").write_text(json.dumps(run.to_json(), indent=2))
    told = json.loads(document(WebhookSettings("https://x.example"), run, tmp_path, RULES, catalogue(), "en"))
    assert (told["new"], told["started"]) == (0, "2026-11-23T06:00:00Z")
    assert told["subjects"][0]["verdicts"][0] == {
        "receiver": "gmail",
        "verdict": "at-risk",
        "effects": [{"effect": "spam", "contested": False}],
    }
    assert told["subjects"][0]["grade"] == "D"


def test_for_slack_nothing_from_outside_is_markup() -> None:
    odd = entry("shop.example", change(item="<!channel> *x*"))
    told = json.loads(
        document(WebhookSettings("https://x.example", "slack"), summary([odd]), Path(), RULES, catalogue(), "en")
    )
    assert {block["text"]["type"] for block in told["blocks"]} == {"plain_text"}
    assert "<!channel>" not in told["text"]


def test_the_textfile() -> None:
    text = weekly_metrics(summary([entry('a"b\\c.example', change()), entry("lost.example", grade="")]))
    read = {each.name: each.value for family in text_string_to_metric_families(text) for each in family.samples}
    assert read["deliv_weekly_run_timestamp_seconds"] == datetime(2026, 11, 23, 6, tzinfo=UTC).timestamp()
    rows = text.splitlines()
    assert "deliv_weekly_new_findings 1" in rows
    assert 'deliv_weekly_grade{domain="a\\"b\\\\c.example",source=""} 1' in rows
    assert not any("grade" in row and "lost" in row for row in rows), "no grade is an absent series"
    names = [row.split()[2] for row in rows if row.startswith("# TYPE")]
    assert len(names) == len(set(names))


# --- All together ---


def test_what_is_not_taken_waits_and_goes_out_with_the_next_run(tmp_path: Path) -> None:
    port = free_port()
    email = EmailSettings(("ops@example.com",), "deliv@example.com", host="127.0.0.1", port=port, security="none")
    settings = NotifySettings(email, None, "deliv.prom")
    notifier = Notifier(settings, tmp_path / "out", tmp_path, RULES, catalogue(), "en")
    notifier.write(summary([entry()]), NOW)
    notifier.write(summary([entry()]), NOW)
    assert len(list(notifier.outbox.waiting())) == 1, "a run that was killed writes its notification again, not twice"
    (problem,) = notifier.send()
    assert problem.code == NOT_TAKEN.name
    server = Server()
    controller = Controller(server, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        assert notifier.send() == ()
    finally:
        controller.stop()
    assert len(server.taken) == 1
    assert list(notifier.outbox.waiting()) == []
    assert (tmp_path / "deliv.prom").read_text().startswith("# HELP deliv_weekly_run_timestamp_seconds")


def test_runs_that_begin_within_a_second_notify_each(tmp_path: Path) -> None:
    notifier = Notifier(NotifySettings(EmailSettings(("a@b.example",))), tmp_path, tmp_path, RULES, catalogue(), "en")
    first = summary([entry()])
    for folder in (first.folder, f"{first.folder}-2"):
        notifier.write(replace(first, folder=folder), NOW)
    assert len(list(notifier.outbox.waiting())) == 2


def test_without_the_password_the_notification_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DELIV_PW", raising=False)
    email = EmailSettings(("a@b.example",), "d@b.example", username="u", password_env="DELIV_PW")
    notifier = Notifier(NotifySettings(email), tmp_path, tmp_path, RULES, catalogue(), "en")
    notifier.write(summary([entry()]), NOW)
    (problem,) = notifier.send()
    assert WAITS.matches(problem)
    assert VARIABLE_UNSET.matches(problem.arg("problem"))
    assert len(list(notifier.outbox.waiting())) == 1
