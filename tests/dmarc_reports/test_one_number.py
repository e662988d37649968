"""One number, one meaning: every command tells of the same month with the same classes and sums."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deliverability.cli import deliv
from tests.dmarc_reports.test_gate import ZONE, read_in, signed, unsigned
from tests.intake.reports import record
from tests.traffic import KEY

pytestmark = pytest.mark.long

FAIL = "<disposition>none</disposition><dkim>fail</dkim><spf>fail</spf>"
CLASSES = ("own", "unclaimed", "forged", "forwarded", "altered", "apart")


def foreign(ip: str, count: int, signer: str, selector: str = "x", result: str = "pass") -> str:
    results = f"<dkim><domain>{signer}</domain><selector>{selector}</selector><result>{result}</result></dkim>"
    return record(ip=ip, count=count, evaluated=FAIL, results=results + "<spf><domain>l.example</domain></spf>")


MONTH = (
    unsigned("198.51.100.20", 7),
    foreign("203.0.113.9", 40, "vendor.example"),
    unsigned("192.0.2.77", 9),
    signed("192.0.2.40", 30),
    foreign("192.0.2.60", 5, "example.com", "s1", "fail"),
    record(ip="198.51.100.50", count=11, author="shop.example.com", evaluated=FAIL, results=""),
)
"""Beside the mail that passes: a gap, an unclaimed source, a forger, a forwarder, a list, a subdomain."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "example.zone").write_text(
        ZONE.replace("p=none;", "p=none; sp=none;") + f's1._domainkey IN TXT "{KEY}"\n'
    )
    (tmp_path / "deliv.toml").write_text(
        'history = "sqlite:///h.db"\noutput = "pages"\n[[domain]]\nname = "example.com"\nrare = []\n'
        '[notify]\nprometheus = "metrics.prom"\n'
    )
    read_in(tmp_path, *MONTH)
    return tmp_path


def run(*args: str) -> Result:
    return CliRunner().invoke(deliv, [*args, "--zone", "example.zone"], standalone_mode=False)


def test_every_command_tells_the_same_sums(folder: Path) -> None:
    (sources,) = json.loads(run("sources", "example.com", "--format", "json").output)["domains"]
    classes = sources["classes"]
    assert tuple(classes) == CLASSES
    assert all(classes.values()), classes
    assert classes["own"] == 28 * 2 * 50 + 5 * 2 * 7
    assert classes["unclaimed"] == 400
    by_standing: dict[str, int] = {}
    for each in sources["sources"]:
        name = "apart" if each["apart"] else CLASS_OF[each["standing"]]
        by_standing[name] = by_standing.get(name, 0) + each["messages"]
    assert by_standing == classes, "the sources add up to the sums"

    (gate,) = json.loads(run("gate", "example.com", "--format", "json").output)["gates"]
    told = gate["traffic"]
    assert {name: told["own.messages" if name == "own" else name] for name in CLASSES} == classes
    assert told["messages"] == sum(classes.values())
    assert told["yours"] == classes["own"] + classes["unclaimed"]
    assert gate["sums"] == sources["summary"]

    facts = json.loads(run("facts", "example.com").output)["facts"]
    audited = {name: facts["traffic.own.messages" if name == "own" else f"traffic.{name}"]["value"] for name in CLASSES}
    assert audited == classes
    run("audit", "example.com", "-o", "audit.html")
    page = (folder / "audit.html").read_text()
    assert sources["summary"].replace("'", "&#39;") in page

    weekly = run("weekly")
    assert weekly.exception is None, weekly.output
    (entry,) = json.loads(next((folder / "pages").rglob("summary.json")).read_text())["subjects"]
    assert entry["traffic"]["classes"] == classes
    days = entry["traffic"]["days"]
    by_day = {name: sum(day[name] for day in days) for name in ("unclaimed", "forged", "forwarded", "altered")}
    assert by_day == {name: classes[name] for name in by_day}
    assert sum(day["aligned"] + day["unaligned"] for day in days) == classes["own"]
    assert sources["summary"].replace("'", "&#39;") in next((folder / "pages").rglob("index.html")).read_text()
    metrics = (folder / "metrics.prom").read_text()
    for name, messages in classes.items():
        assert f'deliv_traffic_messages{{domain="example.com",class="{name}"}} {messages}' in metrics


CLASS_OF = {
    **dict.fromkeys(("own", "own-gap", "service-gap"), "own"),
    **dict.fromkeys(("unclaimed", "service-mixed"), "unclaimed"),
    **{"forged": "forged", "forwarder": "forwarded", "altered": "altered"},
}


def test_the_headline_names_what_waits(folder: Path) -> None:
    text = " ".join(run("gate", "example.com").output.split())
    assert "2,800 of 3,270 messages pass DMARC. 70 of your messages do not; 400 messages come from unconfirmed" in text


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        ("en", "Needs your answer: 2 sources, 490 messages (90 of them count as forged until you answer)"),
        ("ja", "回答が必要：2件、490通（うち90通は回答があるまでなりすましとして計上）"),
    ],
)
def test_what_is_asked_about_and_counts_as_forged_is_told_beside_the_sum(folder: Path, lang: str, words: str) -> None:
    """A forger that sends like a forgotten host is asked about, too: so more is asked about than the 400 that wait."""
    shown = run("sources", "example.com", "--lang", lang).output
    assert words in (" " if lang == "en" else "").join(shown.split()), shown
