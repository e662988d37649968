"""What tests have shown: kept once, and counted as it was."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from deliverability.core.model.report import VerdictKind
from deliverability.core.net.clock import stamp
from deliverability.core.phrases import LANGUAGES, phrases
from deliverability.core.report.paper import Paper
from deliverability.core.store.store import History
from deliverability.engine.rules import load_rules
from deliverability.seeds import report
from deliverability.seeds.kept import Said, SeedHistory, is_unexplained, marks_of, matrices, said, wilson
from deliverability.seeds.values import Folder, Placed

NOW = datetime(2026, 11, 29, 8, 0, tzinfo=UTC)
RECEIVERS = ("gmail", "outlook", "yahoo", "icloud", "docomo", "")
KNOWN = [each for each in Folder if each is not Folder.UNREACHABLE]


@pytest.fixture
def tests(tmp_path: Path) -> Iterator[SeedHistory]:
    history = History.open(f"sqlite:///{tmp_path}/history.sqlite3")
    yield SeedHistory(history)
    history.close()


def row(
    test: str = "t1",
    mailbox: str = "g1",
    folder: Folder = Folder.INBOX,
    verdict: VerdictKind | None = VerdictKind.ACCEPTED,
    receiver: str = "gmail",
    at: datetime = NOW,
) -> Placed:
    sent = stamp(at - timedelta(seconds=41))
    return Placed(test, receiver, mailbox, "example.com", sent, stamp(at), folder, verdict=verdict)


def test_what_is_kept_is_read_as_it_was(tests: SeedHistory) -> None:
    full = replace(
        row(),
        tab="promotions",
        delay_s=41,
        auth={"spf": "pass", "dkim": "fail"},
        signs={"SCL": "5"},
        verdict=VerdictKind.AT_RISK,
        rules=("ALN-001", "SPF-001"),
    )
    tests.keep([full])
    assert tests.since(NOW) == (full,)


def test_a_test_that_is_read_again_counts_once(tests: SeedHistory) -> None:
    """What came late is found then; a mailbox that cannot be read now takes nothing back."""
    tests.keep([row(folder=Folder.MISSING), row(mailbox="g2", folder=Folder.UNREACHABLE)])
    tests.keep([row(folder=Folder.SPAM), row(mailbox="g2", folder=Folder.INBOX)])
    tests.keep([row(folder=Folder.UNREACHABLE)])
    assert [(each.mailbox, each.folder) for each in tests.since(NOW)] == [("g1", Folder.SPAM), ("g2", Folder.INBOX)]


def test_the_tests_of_a_day_and_of_a_span(tests: SeedHistory) -> None:
    tests.keep([row("t1"), row("t1", "g2"), row("t2"), row("t3", at=NOW - timedelta(days=1))])
    tests.keep([row("t4", at=NOW - timedelta(days=91))])
    assert tests.of_day(NOW) == {"t1", "t2"}
    assert {each.test for each in tests.since(NOW)} == {"t1", "t2", "t3"}
    assert {each.test for each in tests.since(NOW, 100)} == {"t1", "t2", "t3", "t4"}


MARKED = {
    "header field": b"X-Deliv-Seed: K3M9XQ2PW7AB\r\n\r\n",
    "Message-ID": b"Message-ID: <k3m9xq2pw7ab>\r\n\r\n",
    "plus": b"To: News <me+k3m9xq2pw7ab@example.com>\r\n\r\n",
    "subject": b"Subject: =?utf-8?q?n=C3=A4chste_k3m9xq2pw7ab?=\r\n\r\n",
}


@pytest.mark.parametrize("name", MARKED)
def test_the_test_of_a_message_as_it_was_sent(tests: SeedHistory, name: str) -> None:
    tests.keep([row("k3m9xq2pw7ab"), row("other1")])
    assert [each.test for each in tests.of_message(MARKED[name])] == ["k3m9xq2pw7ab"]
    assert tests.of_message(b"Subject: x\r\n\r\nk3m9xq2pw7ab") == (), "not by the text"
    assert "k3m9xq2pw7ab" in marks_of(MARKED[name])


def thousand() -> list[Placed]:
    made = random.Random(31)
    verdicts = [*VerdictKind, None]
    return [
        row(
            f"t{number // 20}",
            f"box{number % 20}",
            made.choice(list(Folder)),
            made.choice(verdicts),
            made.choice(RECEIVERS),
            NOW - timedelta(minutes=number),
        )
        for number in range(1000)
    ]


@pytest.mark.long
def test_the_matrix_of_a_thousand_mails_is_the_truth(tests: SeedHistory) -> None:
    rows = thousand()
    tests.keep(rows)
    found = matrices(tests.since(NOW))
    assert [each.receiver for each in found] == ["-", "docomo", "gmail", "icloud", "outlook", "yahoo", ""]
    for matrix in found:
        own = [each for each in rows if not matrix.receiver or (each.receiver or "-") == matrix.receiver]
        truth = Counter((said(each.verdict), each.folder) for each in own)
        cells = {(kind, folder): n for kind, line in matrix.cells.items() for folder, n in line.items() if n}
        assert cells == dict(truth)
        assert matrix.n == len(own)
        bad = [each for each in own if said(each.verdict) in (Said.REFUSED, Said.AT_RISK) and each.folder in KNOWN]
        fine = [each for each in own if said(each.verdict) is Said.NO_OBSTACLE and each.folder in KNOWN]
        assert (matrix.yet_inbox.k, matrix.yet_inbox.n) == (
            sum(each.folder is Folder.INBOX for each in bad),
            len(bad),
        )
        assert (matrix.yet_spam.k, matrix.yet_spam.n) == (
            sum(each.folder in (Folder.SPAM, Folder.MISSING) for each in fine),
            len(fine),
        )
        assert matrix.yet_spam.k == sum(map(is_unexplained, own))


def test_a_mailbox_that_could_not_be_read_is_in_neither_figure() -> None:
    rows = [row(folder=Folder.UNREACHABLE, verdict=each) for each in VerdictKind]
    whole = matrices(rows)[-1]
    assert (whole.n, whole.yet_inbox.n, whole.yet_spam.n) == (len(VerdictKind), 0, 0)
    assert whole.yet_spam.low is None


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (1, 10, 0.0179, 0.4042), (5, 10, 0.2366, 0.7634), (0, 0, None, None)],
)
def test_the_bounds_are_wilson_s(k: int, n: int, low: float | None, high: float | None) -> None:
    """The values of the usual tables (Newcombe 1998, method 3)."""
    share = wilson(k, n)
    assert (share.low, share.high) == (
        low if low is None else pytest.approx(low, abs=5e-5),
        high if high is None else pytest.approx(high, abs=5e-5),
    )


def test_only_no_obstacle_yet_spam_or_missing_is_unexplained() -> None:
    found = {
        (kind, folder)
        for kind in (*VerdictKind, None)
        for folder in Folder
        if is_unexplained(row("t", "m", folder, kind))
    }
    fine = (VerdictKind.ACCEPTED, VerdictKind.DNS_READY)
    assert found == {(kind, folder) for kind in fine for folder in (Folder.SPAM, Folder.MISSING)}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_state_has_its_words(lang: str) -> None:
    say, rules = phrases(lang), load_rules()
    for folder in Folder:
        for verdict in (*VerdictKind, None):
            for receiver in (*RECEIVERS, "nobody"):
                rows = [replace(row(folder=folder, verdict=verdict, receiver=receiver), tab="primary", delay_s=4000)]
                text = report.placement_text(report.placement_view(rows, rules, say), Paper(80), say)
                assert say(f"seeds.folder.{folder.value}") in text
                assert (say("seeds.unexplained")[:12] in text) == is_unexplained(rows[0])
    found = matrices(thousand())
    text = report.matrix_text(found, 90, rules, Paper(100), say)
    markdown = report.matrix_markdown(found, 90, rules, say)
    for kind in Said:
        assert say(f"seeds.said.{kind.value}") in text
        assert say(f"seeds.said.{kind.value}") in markdown
    assert report.matrix_text((), 90, rules, Paper(80), say).strip()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_where_the_receiver_recorded_a_failure_rules_may_explain_it(lang: str) -> None:
    """To say that none does would contradict what stands a line above."""
    say = phrases(lang)
    for dmarc, key in (("fail", "seeds.contradicted"), ("pass", "seeds.unexplained"), ("none", "seeds.unexplained")):
        rows = [replace(row(folder=Folder.SPAM), auth={"dmarc": dmarc})]
        (view,) = report.placement_view(rows, load_rules(), say).rows
        assert say(key, receiver="Gmail") in view.lines
        assert len([each for each in view.lines if each.startswith(say("seeds.unexplained")[:10])]) == (dmarc != "fail")


def test_a_line_of_json_has_what_the_design_names() -> None:
    made = json.loads(report.placed_json(replace(row(folder=Folder.SPAM), rules=("ALN-001",))))
    assert made["explained"] is False
    named = {"test", "receiver", "mailbox", "folder", "tab", "delay_s", "auth", "verdict", "deciding"}
    assert named <= made.keys()
    assert (made["tab"], made["delay_s"], made["deciding"], made["verdict"]) == (None, None, ["ALN-001"], "accepted")


def test_who_is_none_of_the_rules_has_no_id() -> None:
    shape = json.loads(report.matrix_json(matrices([row(receiver=""), row("t2")]), 90))
    assert [each["receiver"] for each in shape["receivers"]] == [None, "gmail"]
    assert shape["all"]["n"] == 2


def test_nothing_in_a_name_is_markup() -> None:
    rows = [replace(row(), mailbox="a|b *c*", receiver="x|<b>y</b>")]
    text = report.matrix_markdown(matrices(rows), 90, load_rules(), phrases("en"))
    assert "\\|\\<b\\>" in text
    shown = report.placement_text(
        report.placement_view([replace(row(), mailbox="a\x1b[31m\u202eb")], load_rules(), phrases("en")),
        Paper(80),
        phrases("en"),
    )
    assert "\x1b" not in shown
    assert "\u202e" not in shown
