"""`--blocklists` and `deliv blocklists`, as a user sees them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deliverability.console.settings import ConfigError, load
from tests.console.test_cli import Deliv, Done, deliv, outcomes

pytestmark = pytest.mark.long

__all__ = ["deliv"]

HEAD = "$ORIGIN {zone}.\n@ 300 IN SOA ns.invalid. x.invalid. 1 1 1 1 300\n@ IN NS ns.invalid.\n{rows}\n"
TEST_ENTRY = "2.0.0.127 IN A 127.0.0.2"
KEY = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def zones(tmp_path: Path) -> Path:
    """A world: ZEN lists 192.0.2.10, SpamCop is healthy, Mailspike refuses, PSBL lists everything."""
    folder = tmp_path / "zones"
    folder.mkdir()
    rows = {
        "example.com": "@ IN A 192.0.2.10",
        "zen.spamhaus.org": f"{TEST_ENTRY}\n10.2.0.192 IN A 127.0.0.3",
        "bl.spamcop.net": TEST_ENTRY,
        "bl.mailspike.net": "* IN A 127.255.255.254",
        "psbl.surriel.com": "* IN A 127.0.0.2",
        f"{KEY}.zen.dq.spamhaus.net": f"{TEST_ENTRY}\n20.2.0.192 IN A 127.0.0.11",
    }
    for zone, text in rows.items():
        (folder / f"{zone.removeprefix(f'{KEY}.')}.zone").write_text(HEAD.format(zone=zone, rows=text))
    return folder


def run(deliv: Deliv, *args: str, code: int) -> Done:
    done = deliv(*args)
    assert done.code == code, done.err
    return done


def audit(deliv: Deliv, zones: Path, *args: str, ip: str = "192.0.2.10", code: int = 1) -> Any:
    done = run(deliv, "audit", "example.com", "--zone", str(zones), "--ip", ip, "--format", "json", *args, code=code)
    return json.loads(done.out)


OURS = ("REP-001", "REP-002", "REP-003", "REP-004", "REP-005", "REP-014", "REP-015")


def reputation(report: Any) -> dict[str, str]:
    return {name: outcome for name, outcome in outcomes(report).items() if name.startswith(OURS)}


def test_without_the_option_nothing_is_asked_and_nothing_is_judged(deliv: Deliv, zones: Path) -> None:
    report = audit(deliv, zones, "--select", "REP", code=0)
    assert set(reputation(report).values()) == {"not-applicable"}
    assert "spamhaus.org" not in json.dumps(report["evidence"])


def test_a_listing_decides_at_whoever_names_the_list(deliv: Deliv, zones: Path) -> None:
    report = audit(deliv, zones, "--select", "REP", "--blocklists", "spamhaus-zen,spamcop,mailspike,psbl")
    found = reputation(report)
    assert found["REP-001 spamhaus-zen"] == "unmet"
    assert found["REP-002 spamhaus-zen"] == "met"
    assert found["REP-005 spamcop"] == "met"
    assert {found["REP-005 mailspike"], found["REP-005 psbl"]} == {"unknown"}
    assert {found["REP-004 mailspike"], found["REP-004 psbl"]} == {"unmet"}
    assert report["verdicts"] == [], "of one kind of rules alone, no receiver has a verdict"
    whole = audit(deliv, zones, "--blocklists", "spamhaus-zen,spamcop,mailspike,psbl")
    stops = {
        (each["receiver"], effect["item"])
        for each in whole["verdicts"]
        for effect in each["effects"]
        if effect["rule"] == "REP-001"
    }
    assert stops == {(who, "spamhaus-zen") for who in ("yahoo", "outlook", "icloud")}


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_a_listing_comes_with_what_the_list_says_and_how_to_get_off_it(deliv: Deliv, zones: Path, lang: str) -> None:
    args = ("--ip", "192.0.2.10", "--blocklists", "spamhaus-zen", "--select", "REP", "--lang", lang, "--all")
    text = run(deliv, "audit", "example.com", "--zone", str(zones), *args, code=1).out
    assert "https://check.spamhaus.org" in text.replace("\n", "").replace(" ", "")
    assert "CSS" in text


def test_a_list_of_ones_own_is_named_by_its_file(deliv: Deliv, zones: Path) -> None:
    Path("own.cidr").write_text("192.0.2.0/24 ours\n")
    found = reputation(audit(deliv, zones, "--select", "REP", "--blocklists", "file:own.cidr", code=0))
    assert found["REP-005 file:own.cidr"] == "unmet"
    args = ("--ip", "192.0.2.10", "--blocklists", "file:own.cidr", "--select", "REP", "--lang", "en", "--all")
    text = run(deliv, "audit", "example.com", "--zone", str(zones), *args, code=0).out
    assert "Listed on your own list own.cidr: 192.0.2.10." in text


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("spamhous", "no blocklist is called 'spamhous'"),
        ("file:none.cidr", "none.cidr"),
        ("file:bad.cidr", "bad.cidr:2: '?' is not an address"),
        (",", "--blocklists takes one or more names"),
        ("settings", "deliv.toml lists no blocklists"),
    ],
)
def test_what_cannot_be_asked_is_told(deliv: Deliv, zones: Path, value: str, told: str) -> None:
    Path("bad.cidr").write_text("192.0.2.1\n?\n")
    done = run(deliv, "audit", "example.com", "--zone", str(zones), "--blocklists", value, "--lang", "en", code=2)
    assert told in done.err


SETTINGS = """\
[reputation]
lists = ["spamhaus-zen", "file:own.cidr"]
keys = {spamhaus = {env = "DQS_KEY"}}
"""


def test_the_settings_name_lists_and_where_the_key_is(
    deliv: Deliv, zones: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("deliv.toml").write_text(SETTINGS)
    Path("own.cidr").write_text("198.51.100.0/24\n")
    lost = run(deliv, "audit", "example.com", "--zone", str(zones), "--blocklists", "settings", "--lang", "en", code=2)
    assert "the environment variable DQS_KEY with the key spamhaus is not set" in lost.err
    monkeypatch.setenv("DQS_KEY", "short")
    bad = run(deliv, "audit", "example.com", "--zone", str(zones), "--blocklists", "settings", "--lang", "en", code=2)
    assert "DQS_KEY does not contain a valid key for spamhaus" in bad.err
    monkeypatch.setenv("DQS_KEY", KEY)
    report = audit(deliv, zones, "--select", "REP", "--blocklists", "settings", ip="192.0.2.20")
    assert reputation(report)["REP-002 spamhaus-zen"] == "unmet"
    assert reputation(report)["REP-005 file:own.cidr"] == "met"
    assert KEY not in json.dumps(report)
    # Without the option the settings alone ask nobody.
    assert set(reputation(audit(deliv, zones, "--select", "REP", code=0)).values()) == {"not-applicable"}


def test_a_recording_answers_again_without_the_key_in_it(
    deliv: Deliv, zones: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("deliv.toml").write_text(SETTINGS)
    Path("own.cidr").write_text("")
    monkeypatch.setenv("DQS_KEY", KEY)
    lists = ("--select", "REP", "--blocklists", "settings")
    first = audit(deliv, zones, *lists, "--record", "rec.json", ip="192.0.2.20")
    assert KEY not in Path("rec.json").read_text("utf-8")
    args = ("--replay", "rec.json", "--ip", "192.0.2.20", "--format", "json", *lists)
    again = json.loads(run(deliv, "audit", "example.com", *args, code=1).out)
    assert reputation(again) == reputation(first)


def test_everything_wrong_in_the_settings_is_told_with_its_line(deliv: Deliv) -> None:
    text = 'domains = ["example.com"]\n[reputation]\nlists = ["x", "file:none"]\nresolver = "nonsense"\n'
    Path("deliv.toml").write_text(f'{text}keys = {{acme = {{env = "A"}}}}\n')
    told = run(deliv, "config", "--check", "--lang", "en", code=2).err
    for line in ("3: no blocklist is called 'x'", "3: ", "4: ", "5: no blocklist has a key called 'acme'"):
        assert f"deliv.toml:{line}" in told
    Path("deliv.toml").write_text('[reputation]\nkeys = {spamhaus = {env = ""}}\nlist = []\n')
    with pytest.raises(ConfigError) as wrong:
        load(Path("deliv.toml"))
    assert [each.arg("line") for each in wrong.value.details] == [2, 3]


def test_a_fleet_does_not_ask_the_free_zones(deliv: Deliv, zones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("domains.txt").write_text("example.com\n")
    Path("own.cidr").write_text("192.0.2.0/24\n.example.com\n")
    fleet = ("fleet", "run", "domains.txt", "--output", "out", "--zone", str(zones), "--workers", "1")
    refused = run(deliv, *fleet, "--blocklists", "spamhaus-zen,spamcop,file:own.cidr", "--lang", "en", code=2)
    assert "spamhaus-zen, spamcop" in refused.err
    assert not Path("out").exists()
    run(deliv, *fleet, "--blocklists", "file:own.cidr", "--select", "REP", code=3)


def test_the_catalogue_tells_how_a_list_is_used_and_why_not(deliv: Deliv) -> None:
    every = run(deliv, "blocklists", "--lang", "en", code=0).out
    assert every.index("spamhaus-zen") < every.index("spamcop") < every.index("sorbs")
    assert "5 June 2024" in run(deliv, "blocklists", "sorbs", "--lang", "en", code=0).out
    assert "did you mean sorbs" in run(deliv, "blocklists", "sorb", "--lang", "en", code=2).err
    known = json.loads(run(deliv, "blocklists", "spamhaus-zen", "--format", "json", code=0).out)["lists"]
    assert known[0]["codes"]["127.0.0.3"]
    assert known[0]["health"] is None


def test_the_check_asks_for_test_entries_alone(deliv: Deliv, zones: Path) -> None:
    args = ("blocklists", "spamhaus-zen", "spamcop", "mailspike", "psbl", "sorbs", "--check", "--zone", str(zones))
    found = json.loads(run(deliv, *args, "--format", "json", code=3).out)["lists"]
    assert {each["id"]: each["health"] for each in found} == {
        "spamhaus-zen": "healthy",
        "spamcop": "healthy",
        "mailspike": "refused",
        "psbl": "dead",
        "sorbs": "dead",
    }
    assert run(deliv, "blocklists", "spamcop", "--check", "--zone", str(zones), code=0)


@pytest.mark.parametrize(
    ("lang", "told"), [("en", "You may or may not be listed"), ("ja", "登録の有無はわかっていません")]
)
def test_what_was_not_checked_is_called_so(deliv: Deliv, zones: Path, lang: str, told: str) -> None:
    """No limit of ours and no name server is blamed for a list that does not work."""
    args = ("--blocklists", "psbl,mailspike", "--select", "REP-005", "--lang", lang, "--all")
    text = run(deliv, "audit", "example.com", "--zone", str(zones), "--ip", "192.0.2.10", *args, code=0).out
    assert told in " ".join(text.split()).replace("\n", "") or told in "".join(text.split())
