"""Recording and replaying: the same answers, the same bytes, and nothing invented."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deliverability.model.facts import Reason
from deliverability.ports.base import Answer, Failed, Found
from deliverability.ports.cassette import CassetteError, Recorder, Replayer
from deliverability.ports.clock import FixedClock
from deliverability.ports.static import StaticResolver

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


async def record(path: Path, questions: list[tuple[str, str]]) -> list[Answer]:
    recorder = Recorder(WORLD, FixedClock(NOW))
    answers = [await recorder.query(*question) for question in questions]
    recorder.save(path)
    return answers


async def test_a_replay_answers_as_the_world_did(tmp_path: Path) -> None:
    recorded = await record(tmp_path / "run.json", QUESTIONS)
    replayer = Replayer.load(tmp_path / "run.json")
    assert [await replayer.query(*question) for question in QUESTIONS] == recorded
    assert replayer.clock.now() == NOW


async def test_the_same_answers_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    await record(tmp_path / "one.json", QUESTIONS)
    await record(tmp_path / "two.json", QUESTIONS[::-1] + QUESTIONS)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


async def test_recording_a_replay_changes_nothing(tmp_path: Path) -> None:
    await record(tmp_path / "one.json", QUESTIONS)
    replayer = Replayer.load(tmp_path / "one.json")
    again = Recorder(replayer, replayer.clock)
    for question in QUESTIONS:
        await again.query(*question)
    again.save(tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


async def test_what_was_not_recorded_is_not_missing(tmp_path: Path) -> None:
    await record(tmp_path / "run.json", QUESTIONS)
    answer = await Replayer.load(tmp_path / "run.json").query("Example.com", "soa")
    assert answer == Failed("example.com", "SOA", Reason.OFFLINE, "not in the recording")


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

    recorder = Recorder(Changing(), FixedClock(NOW))
    together = await asyncio.gather(*(recorder.query("example.com", "TXT") for _ in range(3)))
    later = await recorder.over(Changing()).query("example.com", "TXT")
    assert len({*together, later}) == 1


async def test_several_resolvers_record_into_one_file(tmp_path: Path) -> None:
    recorder = Recorder(WORLD, FixedClock(NOW))
    await recorder.over(StaticResolver({("other.example", "A"): ["192.0.2.1"]})).query("other.example", "A")
    await recorder.query("example.com", "MX")
    recorder.save(tmp_path / "run.json")
    document = json.loads((tmp_path / "run.json").read_text())
    assert sorted(document["dns"]) == ["example.com", "other.example"]
    assert (document["http"], document["smtp"]) == ({}, {}), "the places of later ports"


def found(**changes: Any) -> dict[str, Any]:
    return {
        "status": "found", "values": ["x"], "string_octets": [[1]], "ttl": 1, "chain": [], "at": "", "server": "",
    } | changes  # fmt: skip


def document(**changes: Any) -> str:
    return json.dumps(
        {
            "format": "deliv-recording",
            "schema_version": 1,
            "now": NOW.isoformat(),
            "dns": {"example.com": {"TXT": found()}},
        }
        | changes
    )


def test_a_recording_written_by_hand_is_read(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(document())
    Replayer.load(tmp_path / "run.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("\0\1", "not valid JSON"),
        ("[]", "not a recording made with --record"),
        ('{"verdicts": []}', "not a recording made with --record"),
        (document(schema_version=99), "of version 99; this program reads version 1"),
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
        Replayer.load(path)
        return
    with pytest.raises(CassetteError, match=said) as caught:
        Replayer.load(path)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_reached(tmp_path: Path) -> None:
    with pytest.raises(CassetteError, match="cannot be read"):
        Replayer.load(tmp_path / "missing.json")
    with pytest.raises(CassetteError, match="cannot be written"):
        Recorder(WORLD, FixedClock(NOW)).save(tmp_path / "no" / "folder.json")
