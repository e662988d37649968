"""From `deliv init` to the third weekly mail, as a new user does it; and what goes wrong on the way."""

from __future__ import annotations

import fcntl
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from click.testing import CliRunner
from msgspec import Struct

from deliverability.cli import deliv
from deliverability.weekly.notify import notifier as webhook
from tests.dripping import dripping
from tests.intake.reports import metadata, record, report
from tests.weekly.notify.test_outbox import Server, free_port, web

pytestmark = pytest.mark.long

ZONE = """$ORIGIN shop.example.
@ 300 IN SOA ns h 1 2 3 4 5
@ 300 IN NS ns
@ 300 IN MX 10 mail
mail 300 IN A 192.0.2.1
@ 300 IN TXT "{spf}"
_dmarc 300 IN TXT "v=DMARC1; p=none; rua=mailto:r@shop.example"
"""


class Machine(Struct):
    """A folder with a zone file, and the command line in it."""

    folder: Path

    def publish(self, spf: str) -> None:
        (self.folder / "shop.zone").write_text(ZONE.format(spf=spf))

    def run(self, *args: str) -> tuple[int, str]:
        done = CliRunner().invoke(deliv, [*args])
        return done.exit_code if done.exception else int(done.return_value or 0), done.output

    def weekly(self, *args: str) -> tuple[int, str]:
        result = CliRunner().invoke(deliv, ["weekly", "--zone", "shop.zone", *args], standalone_mode=False)
        if result.exception is not None:
            error = getattr(result.exception, "message", None) or str(result.exception)
            return 2, result.output + error
        return int(result.return_value or 0), result.output


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = Machine(tmp_path)
    made.publish("v=spf1 mx -all")
    return made


@pytest.fixture
def mailbox() -> Iterator[tuple[Server, int]]:
    server, port = Server(), free_port()
    controller = Controller(server, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield server, port
    finally:
        controller.stop()


def test_from_init_to_the_third_weekly_mail(machine: Machine, mailbox: tuple[Server, int]) -> None:
    server, port = mailbox
    assert machine.run("init", "shop.example", "--zone", "shop.zone")[0] == 0
    with Path("deliv.toml").open("a") as file:
        file.write(
            f'\n[notify.email]\nto = ["me@shop.example"]\nsender = "deliv@shop.example"\n'
            f'host = "127.0.0.1"\nport = {port}\nsecurity = "none"\n'
        )
    assert "valid (1 domain" in machine.run("config", "--check")[1]
    code, output = machine.weekly()
    assert code in (0, 1)
    assert output.strip().endswith("deliv-reports/latest/index.html")
    machine.publish("v=spf1 mx +all")
    assert machine.weekly("--fail-on", "new")[0] == 1
    assert machine.weekly("--fail-on", "new")[0] == 0, "an old error is no news"
    subjects = [message_from_bytes(content, policy=policy.default)["Subject"] for _, content in server.taken]
    assert len(subjects) == 3
    assert "first report, 1 domain" in subjects[0]
    assert "shop.example" in subjects[1]
    assert "nothing changed" in subjects[2]
    told = json.loads(Path("deliv-reports/latest/summary.json").read_text())
    assert told["exit_code"] == 0
    assert (machine.folder / "state" / "deliv" / "history.db").is_file()
    _, listed = machine.run("history", "shop.example")
    assert "shop.example · 3 runs" in listed
    assert "SPF record: -all → +all" in listed
    assert "no run of x.example in this history; known: shop.example" in machine.run("history", "x.example")[1]
    _, exported = machine.run("history", "--export")
    assert len(exported.splitlines()) == 3
    assert "2 runs deleted, 1 kept" in machine.run("history", "--prune", "1")[1]


def test_what_could_not_be_sent_is_said_and_the_next_run_sends_it(
    machine: Machine, mailbox: tuple[Server, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that never ends a header costs its own time, not the run, and not the mail."""
    server, port = mailbox
    settings = (
        'domains = ["shop.example"]\n[notify.email]\nto = ["me@shop.example"]\nsender = "deliv@shop.example"\n'
        f'host = "127.0.0.1"\nport = {port}\nsecurity = "none"\n[notify.webhook]\nurl = "http://127.0.0.1:'
    )
    with monkeypatch.context() as patch, dripping(b"x", greeting=b"HTTP/1.1 200 OK\r\nX-") as hook:
        patch.setattr(webhook, "TOTAL_SECONDS", 0.5)
        Path("deliv.toml").write_text(f'{settings}{hook}/"\n')
        code, output = machine.weekly("--fail-on", "never")
    assert code == 3
    assert "was not accepted (timed out (no answer within 0.5 s)). The next run tries again" in output
    assert len(server.taken) == 1
    with web(204) as (url, got):
        Path("deliv.toml").write_text(settings.replace("http://127.0.0.1:", f'{url}"\n'))
        assert machine.weekly("--fail-on", "never")[0] == 0
    assert len(got) == 2, "that of the week before, and that of this one"
    assert len({headers["Idempotency-Key"] for headers, _ in got}) == 2


def test_old_pages_go_and_foreign_files_stay(machine: Machine) -> None:
    Path("deliv.toml").write_text('domains = ["shop.example"]\noutput = "out"\nkeep = 2\n')
    Path("out/2020-01-01").mkdir(parents=True)
    Path("out/2020-01-01/mine.txt").write_text("not deliv's")
    for _ in range(4):
        machine.weekly()
    kept = sorted(each.name for each in Path("out").iterdir() if each.is_dir() and not each.is_symlink())
    assert kept[0] == "2020-01-01"
    assert len(kept) == 3
    assert Path("out/latest").resolve().name == kept[-1]


def test_without_settings_it_says_how_to_make_them(machine: Machine) -> None:
    assert "`deliv init DOMAIN` writes one" in machine.weekly()[1]


def test_only_one_run_at_a_time(machine: Machine) -> None:
    Path("deliv.toml").write_text('domains = ["shop.example"]\noutput = "out"\n')
    Path("out").mkdir()
    with Path("out/.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, output = machine.weekly()
    assert code == 2
    assert "another run is active here" in output


def test_the_same_history_from_two_folders_is_one_run_at_a_time_too(machine: Machine) -> None:
    Path("deliv.toml").write_text('domains = ["shop.example"]\noutput = "out"\nhistory = "sqlite:///h.db"\n')
    machine.weekly()
    with Path("h.db.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another run is writing to this history" in machine.weekly("--output", "other")[1]


def test_the_tables_for_sql_are_made_anew_and_what_is_damaged_is_told(machine: Machine) -> None:
    Path("deliv.toml").write_text('domains = ["shop.example"]\noutput = "out"\nhistory = "sqlite:///h.db"\n')
    machine.weekly()
    machine.publish("v=spf1 mx ~all")
    machine.weekly()

    def asked(sql: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect("h.db")) as connection, connection:
            return connection.execute(sql).fetchall()

    before = asked("SELECT * FROM seen_verdicts ORDER BY run, receiver")
    assert {row[0] for row in before} == {1, 2}
    for lang, told in (
        ("en", "Tables rebuilt from 2 stored audits.\n"),
        ("ja", "保存された診断2件から表を作り直しました。\n"),
    ):
        asked("DELETE FROM verdict_spans")
        assert machine.run("history", "--rebuild-tables", "--lang", lang) == (0, told)
        assert asked("SELECT * FROM seen_verdicts ORDER BY run, receiver") == before
    with Path("h.db.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, told = machine.run("history", "--rebuild-tables")
        assert (code, "another run is writing to this history" in told) == (2, True)
    asked("DELETE FROM blobs WHERE digest = (SELECT manifest FROM snapshots WHERE run = 1)")
    done = CliRunner().invoke(deliv, ["history", "--rebuild-tables", "--lang", "en"], standalone_mode=False)
    assert done.return_value == 3
    assert done.output == (
        "skipped: the stored data for shop.example is damaged\nTables rebuilt from 1 stored audit.\n"
    )
    assert {row[0] for row in asked("SELECT run FROM seen_verdicts")} == {2}


def test_a_folder_that_cannot_be_made(machine: Machine) -> None:
    Path("deliv.toml").write_text('domains = ["shop.example"]\n')
    Path("file").write_text("")
    code, output = machine.weekly("--output", "file/out")
    assert code == 2
    assert "file/out" in output


def test_a_message_that_is_gone_costs_the_domain_only_its_message(machine: Machine) -> None:
    Path("deliv.toml").write_text('[[domain]]\nname = "shop.example"\nmessages = ["gone.eml"]\n')
    code, _ = machine.weekly("--fail-on", "never")
    told = json.loads(Path("deliv-reports/latest/summary.json").read_text())
    (subject,) = told["subjects"]
    assert subject["problems"] == [{"code": "messages-absent", "args": {"place": "gone.eml"}}]
    assert subject["verdicts"]
    assert code == 3


def test_a_waiver_keeps_a_run_green_and_is_told(machine: Machine) -> None:
    machine.publish("v=spf1 mx +all")
    Path("deliv.toml").write_text('domains = ["shop.example"]\n')
    assert machine.weekly()[0] == 1
    told = json.loads(Path("deliv-reports/latest/summary.json").read_text())
    errors = {
        change["rule"]
        for change in told["subjects"][0]["comparison"]["changes"]
        if change["severity"] == "error" and change["after"] == "unmet"
    }
    waivers = "".join(f'[[waiver]]\nrule = "{rule}"\nreason = "accepted-risk"\n' for rule in sorted(errors))
    Path("deliv.toml").write_text('domains = ["shop.example"]\n' + waivers)
    assert machine.weekly()[0] == 0
    page = next(Path("deliv-reports/latest").glob("shop.example.html")).read_text()
    assert "SPF" in page


def test_rules_are_chosen_as_in_an_audit(machine: Machine) -> None:
    Path("deliv.toml").write_text('domains = ["shop.example"]\nselect = ["spf"]\n')
    machine.publish("v=spf1 mx +all")
    assert machine.weekly()[0] == 1, "the case of a prefix does not count"
    (subject,) = json.loads(Path("deliv-reports/latest/summary.json").read_text())["subjects"]
    assert {change["rule"][:3] for change in subject["comparison"]["changes"]} == {"SPF"}


POLICY = "<policy_published><domain>shop.example</domain><p>none</p></policy_published>"


def recently() -> str:
    """The head of a report about the day before yesterday."""
    begin = int(time.time()) // 86_400 * 86_400 - 2 * 86_400
    return metadata(begin=begin, end=begin + 86_399)


REPORTS = """
history = "sqlite:///h.db"
[[domain]]
name = "shop.example"
[feedback]
places = ["reports"]
"""


def test_reports_of_the_settings_are_read_first(machine: Machine) -> None:
    Path("deliv.toml").write_text(REPORTS)
    Path("reports").mkdir()
    Path("reports/r.xml").write_bytes(report(record(author="shop.example"), policy=POLICY, head=recently()))
    code, output = machine.weekly("--fail-on", "never")
    assert code == 0, output
    (subject,) = json.loads(Path("deliv-reports/latest/summary.json").read_text())["subjects"]
    assert subject["traffic"]["reports"] == 1
    assert subject["traffic"]["last_reports"].keys() == {"other"}
    assert "DMARC reports for the last 28 days: No report that counts shows mail from you." in output, (
        "a bare file proves nothing"
    )


def test_a_mailbox_that_cannot_be_reached_stops_no_run(machine: Machine) -> None:
    box = f'[[feedback.mailbox]]\nname = "dmarc"\nhost = "127.0.0.1"\nport = {free_port()}\nusername = "u"\n'
    for login in ('password_env = "NOT_SET_AT_ALL"\n', 'token_command = ["printf", "secret"]\n'):
        Path("deliv.toml").write_text(REPORTS.replace('places = ["reports"]\n', box) + login)
        code, output = machine.weekly("--fail-on", "never")
        assert code == 3, output
        assert "Some reports could not be read: dmarc" in output
        told = json.loads(Path("deliv-reports/latest/summary.json").read_text())
        assert [each["code"] for each in told["unread"]] == ["about"]
        assert told["subjects"][0]["verdicts"]


MAIL = "From: Shop <a@shop.example>\r\nSubject: hello\r\nDate: Sat, 28 Nov 2026 10:00:00 +0000\r\n\r\nhello there\r\n"


def test_recipients_and_regions_of_the_settings_are_judged_for_and_told(machine: Machine) -> None:
    machine.publish("v=spf1 -all")
    Path("m.eml").write_text(MAIL, "utf-8")
    Path("list.csv").write_text("email\nx1@gmx.de\nx2@gmx.de\nx3@gmail.com\nx4@nowhere.example\n", "utf-8")
    settings = 'domains = ["shop.example"]\nmessages = ["m.eml"]\npurpose = "users"\n'
    Path("deliv.toml").write_text(settings + 'to = "list.csv"\nregions = ["kr"]\n', "utf-8")
    code, out = machine.weekly("--fail-on", "never")
    assert code == 3, "one domain of the recipients could not be looked up"
    assert "shop.example (m.eml): Of your 4 recipients, " in out
    latest = Path("deliv-reports", "latest")
    summary = json.loads((latest / "summary.json").read_text("utf-8"))
    assert {"gmx", "naver"} < {each["receiver"] for each in summary["subjects"][0]["verdicts"]}
    assert (summary["audience"]["receivers"]["gmx"]["recipients"], summary["audience"]["failed"]["recipients"]) == (
        2,
        1,
    )
    for page, words in (("index.html", "Of your 4 recipients"), ("index.ja.html", "宛先4件のうち")):
        assert words in (latest / page).read_text("utf-8")
    assert "Of your 4 recipients" in (latest / summary["subjects"][0]["pages"]["en"]).read_text("utf-8")
    Path("list.csv").write_text("email\nx1@gmx.de\n", "utf-8")
    out = machine.weekly("--to", "gmail.com,gmx.de", "--region", "de")[1]
    assert "Of the 2 recipient domains you specified" in out
    assert "Of your 1 recipient" in machine.weekly()[1], "other recipients are told though all else is as it was"
    assert "x1" not in out
    assert machine.weekly("--to", "no.csv")[0] == 2
    assert machine.run("config", "--check")[0] == 0
    Path("deliv.toml").write_text(settings + 'to = "no.csv"\n', "utf-8")
    code, out = machine.run("config", "--check")
    assert (code, "deliv.toml:4" in out, "no.csv" in out) == (2, True, True)


def test_without_recipients_nothing_of_them_is_told(machine: Machine) -> None:
    Path("deliv.toml").write_text('domains = ["shop.example"]\n', "utf-8")
    assert "Of your" not in machine.weekly()[1]
    assert json.loads(Path("deliv-reports", "latest", "summary.json").read_text("utf-8"))["audience"] is None
