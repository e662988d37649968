"""The report of a caught message is that of `deliv audit` of the same file."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deliverability.core.mail.received import SmtpEnvelope
from deliverability.core.net.open import PortSettings
from deliverability.listen.service import CaptureRoom, RoomSettings
from deliverability.listen.store import CaptureStore
from tests.console.test_cli import GOLDEN, Deliv

pytestmark = pytest.mark.long

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def deliv(monkeypatch: pytest.MonkeyPatch) -> Deliv:
    return Deliv(monkeypatch)


@pytest.mark.parametrize(
    ("envelope", "code"),
    [
        (SmtpEnvelope("192.0.2.25", "mail.good.example", "bounce@good.example", ("t-x@mx.test",), "TLSv1.3", True), 0),
        # What a receiver would say of the address that sends it later is not known.
        (SmtpEnvelope("127.0.0.1", "desk", "bounce@good.example", ("b@example.com",), None, False), 3),
        (None, 0),
    ],
    ids=["public", "loopback", "uploaded"],
)
async def test_octet_for_octet(
    tmp_path: Path, deliv: Deliv, monkeypatch: pytest.MonkeyPatch, envelope: SmtpEnvelope | None, code: int
) -> None:
    """With the same clock and the same answers: those of one recording."""
    store = CaptureStore(tmp_path)
    made = store.add((GOLDEN / "good.eml").read_bytes(), envelope, NOW)
    monkeypatch.chdir(tmp_path)
    mail = f"{made.id}/raw.eml"
    recording = ("audit", "--eml", mail, "--zone", str(GOLDEN / "good.zone"), "--record", "record.json")
    recorded = await asyncio.to_thread(deliv, *recording)
    assert recorded.code == code, recorded.err
    room = CaptureRoom(RoomSettings(ports=PortSettings(replay=tmp_path / "record.json")))
    caught = store.mail(made.id)
    assert caught is not None
    for ending in ("json", "html", "sarif", "xml"):
        args = ("audit", "--eml", mail, "--replay", "record.json", "--lang", "ja", "-o", f"report.{ending}")
        done = await asyncio.to_thread(deliv, *args)
        assert done.code == code, done.err
        assert await room.report(caught, ending, "ja") == (tmp_path / f"report.{ending}").read_text("utf-8")
    _, summary = await room.audit(caught)
    assert summary.exit == code
    assert summary.domain == "good.example"
