"""`deliv intake`, `deliv show-report` and `deliv history --forget-before`, as a user types them."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pytest

from deliverability.core.store.store import History
from tests.console.test_cli import Deliv, deliv  # noqa: F401 - a fixture
from tests.imapserver import PASSWORD, USER, dovecot
from tests.intake.reports import metadata, record, report
from tests.observations import contents

pytestmark = pytest.mark.long

TODAY = int(time.time()) // 86400 * 86400
RESULTS = "<dkim><domain>example.com</domain><selector>s1</selector><result>pass</result></dkim>"


def made(number: int = 1, days: int = 2) -> bytes:
    """A report of two days ago: three addresses."""
    begin = TODAY - days * 86400
    rows = [record(ip=f"192.0.2.{each}", count=each, results=RESULTS) for each in (1, 20, 3)]
    return report(*rows, head=metadata(str(number), begin, begin + 86399, "receiver.example"))


@pytest.fixture(autouse=True)
def folder(deliv: Deliv) -> Path:  # noqa: F811 - the fixture works in a folder of its own
    reports = Path("reports")
    reports.mkdir()
    for number in (1, 2):
        (reports / f"{number}.xml.gz").write_bytes(gzip.compress(made(number, days=number + 1)))
    (reports / "note.txt").write_text("a note")
    return reports


def test_a_folder_is_taken_in_and_told(deliv: Deliv) -> None:  # noqa: F811
    done = deliv("intake", "reports", "--history", "sqlite:///h.db", "--offline", "--lang", "en")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "Read 3 files and messages.",
        "1 contains no report and was left untouched.",
        "",
        "New: 2 aggregate reports",
        "reporter          kind       new  imported before  messages  note",
        "receiver.example  aggregate  2    0                48        2 not verified",
    ]
    again = deliv("intake", "reports", "--history", "sqlite:///h.db", "--offline", "--lang", "ja")
    assert again.out.splitlines() == ["3件のファイルとメールを読み取りました。", "うち3件は以前に取り込み済みです。"]


def test_json_for_programs(deliv: Deliv) -> None:  # noqa: F811
    Path("broken.gz").write_bytes(gzip.compress(made())[:-9])
    done = deliv("intake", "reports", "broken.gz", "--history", "sqlite:///h.db", "--offline", "--format", "json")
    told = json.loads(done.out)
    assert done.code == 3
    assert (told["items"], told["new"], told["duplicates"], told["without_report"]) == (4, 2, 0, 1)
    assert told["reports"] == [
        {"kind": "aggregate", "reporter": "receiver.example", "new": 2, "known": 0, "messages": 48, "untrusted": 2}
    ]
    (problem,) = told["problems"]
    assert (problem["name"], problem["code"], problem["lost"]) == ("broken.gz", "feedback-damaged", True)


def test_the_places_of_the_settings(deliv: Deliv) -> None:  # noqa: F811
    Path("deliv.toml").write_text('history = "sqlite:///h.db"\n[feedback]\nplaces = ["reports/*.gz", "later/*"]\n')
    assert "New: 2 aggregate reports" in deliv("intake", "--offline").out
    assert Path("h.db").exists()


def test_a_dry_run_makes_no_history(deliv: Deliv) -> None:  # noqa: F811
    done = deliv("intake", "reports", "--history", "sqlite:///h.db", "--offline", "--dry-run")
    assert "New: 2 aggregate reports" in done.out
    assert not Path("h.db").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "nothing to read: specify files or folders"),
        (("nowhere",), "nowhere"),
        (("--mailbox", "a"), "there is no mailbox a in the settings"),
        (("reports", "--since", "yesterday"), "--since: 'yesterday' is not a valid date"),
        (("reports", "--most", "0"), "--most"),
    ],
)
def test_wrong_usage(deliv: Deliv, words: tuple[str, ...], told: str) -> None:  # noqa: F811
    done = deliv("intake", *words, "--offline")
    assert (done.code, done.out) == (2, "")
    assert told in done.err


def test_what_was_reported_before_a_day_is_forgotten(deliv: Deliv) -> None:  # noqa: F811
    deliv("intake", "reports", "--history", "sqlite:///h.db", "--offline")
    day = time.strftime("%Y-%m-%d", time.gmtime(TODAY - 2 * 86400))
    done = deliv("history", "--history", "sqlite:///h.db", "--forget-before", day)
    assert done.out == "1 report deleted.\n"
    history = History.open("sqlite:///h.db", folder=Path())
    assert sum("'report_id', '1'" in each for each in contents(history)) == 1
    assert sum("'report_id', '2'" in each for each in contents(history)) == 0
    history.close()


def test_a_report_as_a_table(deliv: Deliv) -> None:  # noqa: F811
    done = deliv("show-report", "reports/1.xml.gz", "--lang", "en")
    assert (done.code, done.err) == (0, "")
    title, heads, *rows = done.out.splitlines()
    assert title.startswith("example.com · receiver.example · 24 messages, 24 pass DMARC")
    assert heads.split() == ["address", "messages", "From", "DMARC", "SPF", "DKIM", "disposition"]
    assert [row.split()[:2] for row in rows] == [["192.0.2.20", "20"], ["192.0.2.3", "3"], ["192.0.2.1", "1"]]
    assert not Path("h.db").exists()


def test_what_results_in_brackets_mean_is_told_where_there_are_some(deliv: Deliv) -> None:  # noqa: F811
    failed = "<spf><domain>example.com</domain><result>fail</result></spf>"
    evaluated = "<disposition>none</disposition><dkim>fail</dkim><spf>fail</spf>"
    Path("failed.xml").write_bytes(report(record(author="example.com", evaluated=evaluated, results=failed)))
    shown = " ".join(deliv("show-report", "failed.xml", "--lang", "en").out.split())
    assert "(example.com fail)" in shown
    assert shown.endswith("don't count toward a DMARC pass because they failed or aren't aligned with the From domain.")
    assert "DMARCの合格の根拠になりません。" in deliv("show-report", "failed.xml", "--lang", "ja").out.replace("\n", "")


def test_several_reports_and_what_is_none(deliv: Deliv) -> None:  # noqa: F811
    done = deliv("show-report", "reports", "reports/note.txt", "--lang", "en")
    assert done.code == 3
    assert done.out.count("receiver.example") == 2
    assert done.err.count("note.txt") == 1, "in a folder it is passed over"
    assert deliv("show-report", "nothing").code == 2


def test_a_long_report_is_cut_and_shown_whole_when_wanted(deliv: Deliv) -> None:  # noqa: F811
    Path("long.xml").write_bytes(report(*(record(ip=f"192.0.2.{each}") for each in range(40))))
    assert "15 more rows  15" in deliv("show-report", "long.xml", "--lang", "en").out
    assert len(deliv("show-report", "long.xml", "--all", "--lang", "en").out.splitlines()) == 42


def test_reports_as_json_lines(deliv: Deliv) -> None:  # noqa: F811
    done = deliv("show-report", "reports", "--format", "json")
    first, second = map(json.loads, done.out.splitlines())
    assert (first["kind"], first["report_id"], second["report_id"]) == ("aggregate", "1", "2")
    assert first["rows"][1]["ip"] == "192.0.2.20"


@pytest.mark.system
def test_a_mailbox_of_the_settings(deliv: Deliv) -> None:  # noqa: F811
    Path("secret").write_text(PASSWORD)
    Path("token").write_text("#!/bin/sh\necho no luck >&2\nexit 3\n")
    Path("token").chmod(0o755)
    with dovecot() as server:
        server.fill(b"Subject: r\r\nContent-Type: application/gzip\r\n\r\n" + b"x")
        settings = (
            f'history = "sqlite:///h.db"\n[[feedback.mailbox]]\nname = "dmarc"\nhost = "127.0.0.1"\n'
            f'port = {server.port}\nsecurity = "none"\nusername = "{USER}"\n'
        )
        Path("deliv.toml").write_text(f'{settings}password_file = "secret"\n')
        done = deliv("intake", "--offline", "--lang", "en")
        assert (done.code, done.out.splitlines()[0]) == (0, "Read 1 file or message.")
        Path("deliv.toml").write_text(f'{settings}token_command = ["./token"]\n')
        done = deliv("intake", "--mailbox", "dmarc", "--offline", "--lang", "en")
        assert done.code == 3
        assert "no access token: no luck" in done.out
