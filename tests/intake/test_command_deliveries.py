"""From a month of mixed feedback to what an audit says of it, as a user types it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.console.test_cli import Deliv, deliv  # noqa: F401 - a fixture

pytestmark = pytest.mark.long

YESTERDAY = int(time.time()) // 86400 * 86400 - 43_200
DAY = datetime.fromtimestamp(YESTERDAY, UTC).date()
ZONE = """$ORIGIN example.com.
$TTL 3600
@ IN SOA ns hostmaster 1 7200 3600 1209600 300
@ IN NS ns
ns IN A 192.0.2.1
@ IN MX 10 mx
mx IN A 192.0.2.10
@ IN TXT "v=spf1 ip4:192.0.2.10 -all"
_dmarc IN TXT "v=DMARC1; p=none; rua=mailto:d@example.com"
"""


def event(number: int, kind: str, **more: object) -> str:
    return json.dumps(
        {
            "event": kind,
            "email": f"somebody{number}@yahoo.com",
            "timestamp": YESTERDAY,
            "sg_message_id": f"m{number}",
            **more,
        }
    )


@pytest.fixture(autouse=True)
def folder(deliv: Deliv) -> None:  # noqa: F811 - the fixture works in a folder of its own
    unknown = "550 5.1.1 user unknown"
    lines = [event(number, "delivered") for number in range(1_000)]
    lines += [event(number, "bounce", type="bounce", reason=unknown) for number in range(1_000, 1_060)]
    lines += [event(number, "spamreport") for number in range(4)]
    Path("events.ndjson").write_text("\n".join(lines))
    Path("postmaster.csv").write_text(f"Date,User Reported Spam Rate\n{DAY},0.45%\n")
    Path("snds.csv").write_text(f"192.0.2.10,{DAY:%m/%d/%Y} 1:00 AM,,9,9,900,YELLOW,0.3%,,,2,,,\n")
    Path("mx.zone").write_text(ZONE)
    Path("deliv.toml").write_text('history = "sqlite:///h.db"\n[[domain]]\nname = "example.com"\n')


def test_what_was_read_is_told(deliv: Deliv) -> None:  # noqa: F811
    done = deliv("intake", "events.ndjson", "postmaster.csv", "snds.csv", "--offline", "--lang", "en")
    assert (done.code, done.err) == (0, "")
    told = " ".join(done.out.split())
    assert "New results for your mail: 1,000 delivered; 60 hard bounces (no such address)" in told
    assert "4 complaints." in told
    rows = [line.split() for line in done.out.splitlines() if "  events  " in line or "  numbers  " in line]
    assert rows == [
        ["SendGrid", "events", "1,064", "0", "1,064"],
        ["Postmaster", "Tools", "numbers", "1", "0", "0"],
        ["SNDS", "numbers", "4", "0", "0"],
    ]
    again = json.loads(deliv("intake", "events.ndjson", "--offline", "--format", "json").out)
    assert (again["seen"], again["new"], again["results"]) == (1, 0, {})


def test_results_for_programs(deliv: Deliv) -> None:  # noqa: F811
    told = json.loads(deliv("intake", "events.ndjson", "--offline", "--format", "json").out)
    assert told["results"] == {"delivered": 1000, "hard": 60, "complaint": 4}
    assert [(each["kind"], each["reporter"], each["new"]) for each in told["reports"]] == [("event", "sendgrid", 1064)]


@pytest.mark.parametrize(
    ("lang", "dead", "complaints"),
    [
        ("en", "Of 1,060 messages, 60 (5.66%) went to addresses that don't exist.", "4 led to a complaint (0.4%)"),
        ("ja", "1,060通のうち60通（5.66%）が、存在しないアドレス宛てです。", "迷惑メール報告は4件（0.4%）です。"),
    ],
)
def test_an_audit_says_the_numbers_and_what_to_do(deliv: Deliv, lang: str, dead: str, complaints: str) -> None:  # noqa: F811
    deliv("intake", "events.ndjson", "postmaster.csv", "snds.csv", "--offline")
    done = deliv("audit", "example.com", "--zone", "mx.zone", "--all", "--lang", lang)
    said = "".join(done.out.split())
    assert "".join(dead.split()) in said
    assert "".join(complaints.split()) in said
    report = json.loads(deliv("audit", "example.com", "--zone", "mx.zone", "--format", "json").out)
    unmet = {each["rule"] for each in report["findings"] if each["outcome"] == "unmet"}
    assert {"REP-006", "REP-007", "REP-012", "REP-018", "REP-020"} <= unmet
    assert not {"REP-016", "REP-017", "REP-019", "REP-010"} & unmet


def test_events_of_no_domain_ask_for_one(deliv: Deliv) -> None:  # noqa: F811
    Path("deliv.toml").write_text('history = "sqlite:///h.db"\n')
    done = deliv("intake", "events.ndjson", "--offline", "--lang", "en")
    assert done.code == 3
    assert "events or values don't state their domain. Set it with --domain" in " ".join(done.out.split())
    assert deliv("intake", "events.ndjson", "--offline", "--domain", "example.com").code == 0


@pytest.mark.parametrize(
    ("lang", "due"),
    [
        ("en", "Addresses that `deliv suppress` can remove now: 64."),
        ("ja", "deliv suppressで外せるアドレスは64件あります。"),
    ],
)
def test_how_many_addresses_are_due_is_told_and_no_address(deliv: Deliv, lang: str, due: str) -> None:  # noqa: F811
    """The same as `deliv suppress` counts: 60 that do not exist, and 4 that complained."""
    settings = '[feedback]\naddresses = "addresses.sqlite3"\n'
    Path("deliv.toml").write_text(f'history = "sqlite:///h.db"\n{settings}[[domain]]\nname = "example.com"\n')
    assert deliv("audit", "example.com", "--zone", "mx.zone").code in (0, 1), "there is no such file yet"
    deliv("intake", "events.ndjson", "--offline")
    assert deliv("suppress", "--offline", "--lang", "en").out.startswith("64 addresses go on the suppression list.")
    done = deliv("audit", "example.com", "--zone", "mx.zone", "--all", "--lang", lang)
    assert "".join(due.split()) in "".join(done.out.split())
    assert "somebody" not in deliv("audit", "example.com", "--zone", "mx.zone", "--format", "json").out
    deliv("suppress", "--forget", "somebody1001@yahoo.com")
    facts = json.loads(deliv("facts", "example.com", "--zone", "mx.zone").out)
    assert facts["facts"]["deliveries.to_suppress"]["value"] == 63


def test_without_a_file_of_addresses_nobody_knows_how_many_are_due(deliv: Deliv) -> None:  # noqa: F811
    deliv("intake", "events.ndjson", "--offline")
    facts = json.loads(deliv("facts", "example.com", "--zone", "mx.zone").out)
    value = facts["facts"]["deliveries.to_suppress"]
    assert (value["unknown"], value["detail"]["args"]) == ("not-configured", {"input": "addresses"})


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        (
            "en",
            f"According to the events of sendgrid, 5,000 messages were sent on {DAY.day} {DAY:%b %Y}, "
            "4.17 times the maximum of the 9 days before (1,200).",
        ),
        (
            "ja",
            f"配信サービス（sendgrid）のイベントでは、{DAY.year}年{DAY.month}月{DAY.day}日は5,000通で、"
            "その前の9日間の最大（1,200通）の4.17倍です。",
        ),
    ],
)
def test_a_jump_of_the_volume_names_its_source(deliv: Deliv, lang: str, said: str) -> None:  # noqa: F811
    lines = [
        json.dumps(
            {"event": "delivered", "email": "a@b.example", "timestamp": at, "sg_message_id": f"v{back}-{number}"}
        )
        for back in range(10)
        for at in (YESTERDAY - back * 86_400,)
        for number in range(1_200 if back else 5_000)
    ]
    Path("volume.ndjson").write_text("\n".join(lines))
    deliv("intake", "volume.ndjson", "--offline")
    done = deliv("audit", "example.com", "--zone", "mx.zone", "--all", "--lang", lang)
    assert "".join(said.split()) in "".join(done.out.split())


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        (
            "en",
            "Hard bounces are concentrated in “spring sale”: 60 of its 160 messages (37.5%), compared with 0%",
        ),
        ("ja", "存在しない宛先が「spring sale」に集中しています。160通のうち60通（37.5%）で、ほかの配信では0%です。"),
    ],
)
def test_a_campaign_in_which_dead_addresses_gather_is_named(deliv: Deliv, lang: str, said: str) -> None:  # noqa: F811
    lines = [event(number, "delivered", category=["weekly"]) for number in range(900)]
    lines += [event(number, "delivered", category=["spring sale"]) for number in range(900, 1_000)]
    unknown = "550 5.1.1 user unknown"
    lines += [
        event(number, "bounce", type="bounce", reason=unknown, category="spring sale") for number in range(1_000, 1_060)
    ]
    Path("campaigns.ndjson").write_text("\n".join(lines))
    deliv("intake", "campaigns.ndjson", "--offline")
    done = deliv("audit", "example.com", "--zone", "mx.zone", "--all", "--lang", lang)
    assert "".join(said.split()) in "".join(done.out.split())
    assert "weekly" not in done.out, "where nothing gathers, nothing is told"
