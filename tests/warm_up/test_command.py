"""`deliv warm-up` from the command line: from reports that were read in, as text, CSV, calendar and JSON."""

from __future__ import annotations

import csv
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deliverability.cli import deliv
from deliverability.core.phrases import phrases
from deliverability.core.store.store import History
from deliverability.core.words.sentences import full_day_words
from tests.core.store.test_deliveries import HARD, event, take
from tests.dmarc_reports.test_gate import folder, read_in  # noqa: F401 - a fixture

pytestmark = pytest.mark.long


def run(*args: str) -> Result:
    return CliRunner().invoke(deliv, ["warm-up", "example.com", *args], standalone_mode=False)


def test_it_begins_from_what_receivers_reported(folder: Path) -> None:  # noqa: F811
    read_in(folder)
    done = run("--to", "400", "-o", "plan.json")
    assert done.return_value == 0, done.output
    made = json.loads((folder / "plan.json").read_text("utf-8"))
    assert made["known"] == {"from": "reports", "days": 28, "median": 100, "highest": 100}
    assert [step["messages"] for step in made["steps"]] == [100, 150, 225, 337, 400]
    assert made["steps"][0]["receivers"] == {"gmail": 50, "outlook": 50}
    text = run("--to", "400").output
    assert "DMARC reports showed mail on 28 days, with a median of 100" in " ".join(text.split())
    assert run("--to", "90").output.count("so you need no warm-up") == 1


def test_without_anything_known_it_begins_small_and_says_so(folder: Path) -> None:  # noqa: F811
    text = " ".join(run("--to", "100").output.split())
    assert "Your current volume is unknown, so the plan starts at 50 messages." in text
    assert "2% or more of the messages bounce permanently, repeat the step. If 5% or more do, go one step back." in text
    assert "No receiver publishes exact steps" in text
    japanese = run("--to", "100", "--every", "week", "--lang", "ja").output
    assert "1週間に1段階ずつ、前の段階の1.3倍以内で増やします" in japanese.replace("\n", "")


def test_what_logs_tell_counts_before_what_receivers_report(folder: Path) -> None:  # noqa: F811
    read_in(folder)
    yesterday = int((datetime.now(UTC) - timedelta(days=1)).timestamp())
    history = History.open("sqlite:///h.db", folder=folder)
    take(
        history,
        *(event(f"a{n}", at=yesterday) for n in range(90)),
        *(event(f"b{n}", at=yesterday, receiver="icloud") for n in range(30)),
        event("c", HARD, at=yesterday, receiver="icloud"),
        now=yesterday + 86_400,
    )
    history.close()
    run("--to", "200", "-o", "plan.json")
    made = json.loads((folder / "plan.json").read_text("utf-8"))
    assert made["known"] == {"from": "deliveries", "days": 1, "median": 121, "highest": 121}
    assert made["steps"][0]["receivers"] == {"gmail": 90, "icloud": 31}
    run("--to", "200", "--stream", "other.example.com", "-o", "plan.json")
    assert json.loads((folder / "plan.json").read_text("utf-8"))["known"]["days"] == 0


def test_another_stream_is_not_counted(folder: Path) -> None:  # noqa: F811
    read_in(folder)
    run("--to", "400", "--stream", "news.example.com", "-o", "plan.json")
    assert json.loads((folder / "plan.json").read_text("utf-8"))["known"]["days"] == 0


def test_csv_and_calendar_hold_the_same_steps(folder: Path) -> None:  # noqa: F811
    start = (datetime.now(UTC) + timedelta(days=30)).date()
    run("--to", "100", "--start", start.isoformat(), "-o", "plan.csv")
    run("--to", "100", "--start", start.isoformat(), "-o", "plan.ics")
    with (folder / "plan.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["messages"] for row in rows] == ["50", "75", "100"]
    calendar = (folder / "plan.ics").read_bytes()
    assert all(len(line) <= 75 for line in calendar.split(b"\r\n"))
    assert b"\n" not in calendar.replace(b"\r\n", b"")
    whole = calendar.replace(b"\r\n ", b"").decode("utf-8")
    days = [
        datetime.strptime(day, "%Y%m%d").date().isoformat() for day in re.findall(r"DTSTART;VALUE=DATE:(\d+)", whole)
    ]
    assert days == [row["day"] for row in rows]
    assert re.findall(r"SUMMARY:(.*)\r", whole) == ["example.com: 50", "example.com: 75", "example.com: 100"]
    assert len(set(re.findall(r"UID:(.*)\r", whole))) == 3


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--to", "0"), "--to"),
        (("--to", "100", "--start", "2020-01-01"), "2020-01-01 is in the past"),
        (("--to", "100", "-o", "plan.pdf"), "extensions: .txt, .csv, .ics, .json"),
        (("--to", "100", "--stream", "no domain"), "no domain"),
        ((), "--to"),
    ],
)
def test_wrong_input_is_told_in_a_sentence(folder: Path, args: tuple[str, ...], message: str) -> None:  # noqa: F811
    with pytest.raises(Exception, match=re.escape(message)):
        raise run(*args).exception or AssertionError("nothing was wrong")


# --- plan and fact ---


def test_what_was_sent_is_held_against_the_plan_of_the_settings(folder: Path) -> None:  # noqa: F811
    now = datetime.now(UTC)
    yesterday = (now - timedelta(days=1)).date()
    (folder / "plan.csv").write_text(f"day,messages\n{yesterday},60\n{now.date()},90\n")
    settings = folder / "deliv.toml"
    settings.write_text(settings.read_text() + 'warm_up = "plan.csv"\n')
    history = History.open("sqlite:///h.db", folder=folder)
    at = int((now - timedelta(days=1)).timestamp())
    take(history, *(event(f"a{n}", at=at) for n in range(90)), now=int(now.timestamp()))
    history.close()

    def audited(lang: str) -> str:
        args = ["audit", "example.com", "--zone", "example.zone", "--all", "--lang", lang]
        return " ".join(CliRunner().invoke(deliv, args, standalone_mode=False).output.split())

    said = full_day_words(str(yesterday), phrases("en"))
    assert f"On {said}, you sent 90 messages, 150% of the 60 that you planned." in audited("en")
    assert "計画の60通の150%です" in audited("ja").replace(" ", "")


NO_PLANS = ["", "day,messages\n", "day,messages\nsoon,5\n", "a,b\n1,2\n", "day,messages\n2026-11-24,0\n"]


@pytest.mark.parametrize("text", NO_PLANS)
def test_a_plan_that_is_none_is_told_with_its_line(folder: Path, text: str) -> None:  # noqa: F811
    (folder / "plan.csv").write_text(text)
    settings = folder / "deliv.toml"
    settings.write_text(settings.read_text() + 'warm_up = "plan.csv"\n')
    done = CliRunner().invoke(deliv, ["audit", "example.com", "--zone", "example.zone"], standalone_mode=False)
    assert re.search(r"plan\.csv:[12]: this is not a plan from `deliv warm-up", str(done.exception))
