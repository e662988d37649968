"""`deliv fleet run --to`: the recipients decide for whom a fleet is judged, and reports say what they can expect."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from deliverability.core.model.deliveries import Audience, Part
from deliverability.fleet.folder import AUDIENCE, keep_audience
from tests.console.test_cli import Deliv, deliv  # noqa: F401 - a fixture
from tests.fleet.fleets import domain, write_world
from tests.fleet.rows import row, write_fleet

pytestmark = pytest.mark.long

RECIPIENTS = Audience(receivers={"gmx": Part(6, 1), "gmail": Part(3, 1)}, elsewhere=Part(1, 1))
ROWS = [
    row("bad.example", unmet=["SPF-003"], grade="D", verdicts={"gmx": "dns-not-ready", "gmail": "dns-ready"}),
    row("open.example", unmet=["SPF-003"], grade="C", verdicts={"gmx": "dns-partly", "gmail": "dns-ready"}),
    row("fine.example", unmet=["SPF-003"], grade="B", verdicts={"gmx": "dns-ready", "gmail": "dns-ready"}),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = write_fleet(tmp_path / "fleet", ROWS)
    keep_audience(made, RECIPIENTS)
    return made


def test_a_report_says_which_share_of_the_recipients_is_out_of_reach(deliv: Deliv, folder: Path) -> None:  # noqa: F811
    said = deliv("fleet", "report", str(folder)).out
    assert "Of your 10 recipients, up to 60% are at receivers that would reject mail from a domain" in said
    assert said.count("1 domain.") == 1
    assert "宛先10件のうち、最大60%の宛先で" in deliv("fleet", "report", str(folder), "--lang", "ja").out


def test_nothing_is_said_of_domains_whose_receivers_are_not_decided(deliv: Deliv, folder: Path) -> None:  # noqa: F811
    deliv("fleet", "report", str(folder), "-o", "r.csv", "-o", "r.html", "-o", "r.json")
    table = list(csv.DictReader(io.StringIO(Path("r.csv").read_text("utf-8-sig"))))
    unreached = {
        each["name"]: each["detail"].partition("unreached=")[2] for each in table if each["section"] == "worst"
    }
    assert unreached == {"bad.example": "6", "open.example": "", "fine.example": "0"}
    assert {each["kind"]: each["detail"] for each in table if each["section"] == "receivers"} == {
        "gmx": "recipients=6",
        "gmail": "recipients=3",
    }
    assert "Recipients not reached" in Path("r.html").read_text("utf-8")
    assert json.loads(Path("r.json").read_text("utf-8"))["audience"]["most"] == 6


def test_without_recipients_nothing_of_them_is_said(deliv: Deliv, tmp_path: Path) -> None:  # noqa: F811
    made = write_fleet(tmp_path / "other", ROWS)
    deliv("fleet", "report", str(made), "-o", "r.html")
    assert "recipients" not in (deliv("fleet", "report", str(made)).out + Path("r.html").read_text("utf-8")).lower()


def test_what_is_kept_of_recipients_and_damaged_is_told(deliv: Deliv, folder: Path) -> None:  # noqa: F811
    (folder / AUDIENCE).write_text('{"receivers": 3}', "utf-8")
    done = deliv("fleet", "report", str(folder))
    assert (done.code, "Traceback" in done.err) == (2, False)
    assert AUDIENCE in done.err


@pytest.mark.slow
def test_a_run_is_judged_for_the_receivers_of_the_recipients_and_keeps_numbers_alone(
    deliv: Deliv,  # noqa: F811
    tmp_path: Path,
) -> None:
    write_world(tmp_path, 2)
    Path("domains.txt").write_text("\n".join(map(domain, range(2))) + "\n", "utf-8")
    Path("list.csv").write_text("email\nsubscriber@gmx.de\nsubscriber2@gmx.de\nsubscriber@orange.fr\n", "utf-8")
    run = ("fleet", "run", "domains.txt", "-o", "fleet", "--zone", "zones", "--workers", "1")
    done = deliv(*run, "--to", "list.csv")
    assert done.code in (0, 3), done.err
    kept = Path("fleet", AUDIENCE).read_text("utf-8")
    assert "subscriber" not in kept + done.out + done.err
    assert json.loads(kept)["receivers"] == {
        "gmx": {"recipients": 2, "domains": 1},
        "orange": {"recipients": 1, "domains": 1},
    }
    deliv("fleet", "report", "fleet", "-o", "r.json")
    assert {"gmx", "orange"} == {*json.loads(Path("r.json").read_text("utf-8"))["receivers"]}
    assert deliv(*run).code == 2, "for other receivers, judging again has to be asked for"
    deliv(*run, "--rejudge")
    assert not Path("fleet", AUDIENCE).exists()
    assert deliv(*run, "--rejudge", "--to", "no.csv").code == 2
