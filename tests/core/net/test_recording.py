"""Recording and replaying: the same answers, the same bytes, and nothing invented."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from deliverability.core.facts.base import Reason
from deliverability.core.net.base import Absent, Answer, Failed, Found, Resolver
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.net.ports import NOT_RECORDED, Journal, Ports
from deliverability.core.net.recording import RecordingError, replaying, write_recording
from deliverability.core.net.static import StaticResolver

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
WORLD = StaticResolver(
    {
        ("example.com", "TXT"): [("v=spf1 ", "-all"), "日本\\xff"],
        ("example.com", "MX"): ["0 ."],
        ("alias.example.com", "CNAME"): ["example.com"],
        ("slow.example.com", "A"): "timeout",
    }
)
QUESTIONS = [
    ("example.com", "TXT"),
    ("Example.COM.", "mx"),
    ("example.com", "AAAA"),
    ("missing.example", "A"),
    ("alias.example.com", "TXT"),
    ("slow.example.com", "A"),
    ("a..b", "A"),
    ("\udcff.example", "A"),
    ("with space.example", "A"),
]


def recorded(dns: Resolver) -> Ports:
    """Ports that keep a journal."""
    journal = Journal()
    return Ports(dns, FixedClock(NOW), sources=("live",), journal=journal).under(journal)


async def record(path: Path, questions: list[tuple[str, str]]) -> list[Answer]:
    ports = recorded(WORLD)
    answers = [await ports.dns.query(*question) for question in questions]
    write_recording(path, ports, "1")
    return answers


async def test_a_replay_answers_as_the_world_did(tmp_path: Path) -> None:
    given = await record(tmp_path / "run.json", QUESTIONS)
    ports = replaying(tmp_path / "run.json")
    assert [await ports.dns.query(*question) for question in QUESTIONS] == given
    assert (ports.clock.now(), ports.sources) == (NOW, ("live",))


async def test_the_same_answers_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    await record(tmp_path / "one.json", QUESTIONS)
    await record(tmp_path / "two.json", QUESTIONS[::-1] + QUESTIONS)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


async def test_recording_a_replay_changes_nothing(tmp_path: Path) -> None:
    await record(tmp_path / "one.json", QUESTIONS)
    again = recorded(replaying(tmp_path / "one.json").dns)
    for question in QUESTIONS:
        await again.dns.query(*question)
    write_recording(tmp_path / "two.json", again, "1")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


async def test_what_was_not_recorded_is_not_missing(tmp_path: Path) -> None:
    await record(tmp_path / "run.json", QUESTIONS)
    answer = await replaying(tmp_path / "run.json").dns.query("Example.com", "soa")
    assert answer == Failed("example.com", "SOA", Reason.OFFLINE, NOT_RECORDED())


async def test_the_run_sees_what_is_recorded_even_where_the_world_changes() -> None:
    class Changing:
        def __init__(self) -> None:
            self.count = 0

        async def query(self, name: str, rdtype: str) -> Answer:
            self.count += 1
            mine = self.count
            await asyncio.sleep(0)
            return Found(name, rdtype, (str(mine),))

        async def close(self) -> None:
            return None

    ports = recorded(Changing())
    together = await asyncio.gather(*(ports.dns.query("example.com", "TXT") for _ in range(3)))
    later = await replace(ports, dns=Changing()).of_subject().dns.query("example.com", "TXT")
    assert len({*together, later}) == 1


async def test_several_resolvers_record_into_one_file(tmp_path: Path) -> None:
    run = recorded(WORLD)
    other = replace(run, dns=StaticResolver({("other.example", "A"): ["192.0.2.1"]}))
    await other.of_subject().dns.query("other.example", "A")
    await run.dns.query("example.com", "MX")
    write_recording(tmp_path / "run.json", run, "1")
    document = json.loads((tmp_path / "run.json").read_text())
    assert sorted(document["dns"]) == ["example.com", "other.example"]


async def test_proposed_records_are_laid_over_a_replay(tmp_path: Path) -> None:
    await record(tmp_path / "run.json", QUESTIONS)
    settings = PortSettings(replay=tmp_path / "run.json", proposals=["example.com MX 10 mx.example.com"])
    ports = open_ports(settings).of_subject()
    assert isinstance(mx := await ports.dns.query("example.com", "MX"), Found)
    assert mx.values == ("10 mx.example.com",)
    assert isinstance(await ports.dns.query("example.com", "AAAA"), Absent)


def found(**changes: Any) -> dict[str, Any]:
    return {
        "status": "found", "values": ["x"], "string_octets": [[1]], "ttl": 1, "chain": [], "at": "", "server": "",
    } | changes  # fmt: skip


def document(**changes: Any) -> str:
    return json.dumps(
        {
            "format": "deliv-recording",
            "schema_version": 2,
            "now": NOW.isoformat(),
            "dns": {"example.com": {"TXT": found()}},
        }
        | changes
    )


def test_a_recording_written_by_hand_is_read(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(document())
    replaying(tmp_path / "run.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a recording"),
        ("[" * 100_000, "is not a recording"),
        ("\0\1", "is not a recording"),
        ("[]", "not a recording of an audit"),
        ('{"verdicts": []}', "not a recording of an audit"),
        (document(schema_version=99), "of version 99; this program reads version 2"),
        (document(schema_version=99, made_by="9.9"), "version 99; this program"),
        (document(schema_version=1), "of version 1; this program reads version 2"),
        (document(now="yesterday"), "damaged"),
        (document(now="2026-01-01T00:00:00"), "damaged"),
        (document(now=None), "damaged"),
        (document(dns=[]), "damaged"),
        (document(dns={"example.com": []}), "damaged"),
        (document(dns={"example.com": {"TXT": "x"}}), "damaged"),
        (document(dns={"example.com": {"TXT": found(status="perhaps")}}), "damaged"),
        (document(dns={"example.com": {"TXT": found(values=[])}}), "damaged"),
        (document(dns={"example.com": {"TXT": found(values=[1])}}), "damaged"),
        (document(dns={"example.com": {"TXT": found(ttl=-1)}}), "damaged"),
        (document(dns={"example.com": {"TXT": found(string_octets=[])}}), None),
        (document(dns={"example.com": {"TXT": found(string_octets=[[1], [2]])}}), "damaged"),
        (document(dns={"example.com": {"TXT": found(status="failed", reason="mood", detail="")}}), "damaged"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_one_sentence(text: str, said: str | None, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    if said is None:
        replaying(path)
        return
    with pytest.raises(RecordingError, match=said) as caught:
        replaying(path)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_reached(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no such file"):
        replaying(tmp_path / "missing.json")
    with pytest.raises(RecordingError, match="no such folder"):
        write_recording(tmp_path / "no" / "folder.json", recorded(WORLD), "1")
