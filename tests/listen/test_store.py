"""Caught messages are kept privately, whole or not at all, and go when they are too many or too old."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deliverability.core.codes import VERBATIM
from deliverability.core.mail.received import SmtpEnvelope
from deliverability.listen.store import AuditSummary, CaptureStore

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ENVELOPE = SmtpEnvelope("192.0.2.1", "c.example.com", "a@example.com", ("b@example.com",), "TLSv1.3", True)
SUMMARY = AuditSummary("B", 0, "example.com", {"en": "Fine.", "ja": "良好です。"}, "good")


def test_a_folder_for_each_message_that_only_its_owner_reads(tmp_path: Path) -> None:
    folder = tmp_path / "mails"
    before = os.umask(0)
    try:
        made = CaptureStore(folder).add(b"a: b\r\n\r\n", ENVELOPE, NOW, subject="x")
    finally:
        os.umask(before)
    assert sorted(path.name for path in (folder / made.id).iterdir()) == ["meta.json", "raw.eml"]
    for path in (folder, folder / made.id):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (folder / made.id).iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (folder / made.id / "raw.eml").read_bytes() == b"a: b\r\n\r\n"


def test_what_an_earlier_run_kept_is_there_again(tmp_path: Path) -> None:
    store = CaptureStore(tmp_path)
    first = store.add(b"1", ENVELOPE, NOW, subject="日本語", author="A <a@example.com>")
    second = store.add(b"2", None, NOW + timedelta(seconds=1), name="mail.eml")
    store.audited(first.id, {"facts": {}}, SUMMARY)
    store.failed(second.id, [VERBATIM(text="no")])
    again = CaptureStore(tmp_path)
    assert list(again) == list(store)
    assert [each.id for each in again] == [second.id, first.id]
    assert again.facts(first.id) == {"facts": {}}
    found = again.get(first.id)
    assert found is not None
    assert found.summary == SUMMARY
    assert not found.waits


def test_what_was_left_half_written_or_is_not_ours(tmp_path: Path) -> None:
    store = CaptureStore(tmp_path)
    kept = store.add(b"1", None, NOW)
    half = tmp_path / f".{kept.id}.part"
    half.mkdir()
    (tmp_path / "notes").mkdir()
    broken = tmp_path / "20261124T120000-00000456789abcdef"
    broken.mkdir()
    (broken / "meta.json").write_text('{"id": 1}')
    assert [each.id for each in CaptureStore(tmp_path)] == [kept.id]
    assert not half.exists()
    assert (tmp_path / "notes").exists()
    assert broken.exists()


def test_the_oldest_go_when_there_are_too_many(tmp_path: Path) -> None:
    store = CaptureStore(tmp_path, keep=2)
    ids = [store.add(b"x", None, NOW + timedelta(seconds=each)).id for each in range(4)]
    assert [each.id for each in store] == [ids[3], ids[2]]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(ids[2:])


def test_ids_tell_the_order_also_within_a_second(tmp_path: Path) -> None:
    store = CaptureStore(tmp_path)
    ids = [store.add(b"x", None, NOW.replace(microsecond=each)).id for each in (0, 9, 16, 999_999)]
    assert ids == sorted(ids)
    assert [each.id for each in store] == ids[::-1]
    assert len({each[-12:] for each in ids}) == 4


def test_the_old_go_by_their_age(tmp_path: Path) -> None:
    store = CaptureStore(tmp_path, days=30)
    old = store.add(b"x", None, NOW - timedelta(days=31))
    young = store.add(b"x", None, NOW - timedelta(days=29))
    assert store.prune(NOW) == (old.id,)
    store.add(b"x", None, NOW + timedelta(days=2))
    assert store.get(young.id) is None


def test_in_memory_nothing_is_written_and_the_newest_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = CaptureStore(None, memory=10)
    first, second, third = (store.add(b"12345", None, NOW + timedelta(seconds=each)) for each in range(3))
    assert [each.id for each in store] == [third.id, second.id]
    assert (store.raw(first.id), store.raw(third.id)) == (None, b"12345")
    large = store.add(b"x" * 50, None, NOW + timedelta(seconds=9))
    assert [each.id for each in store] == [large.id]
    store.audited(large.id, {"facts": {}}, SUMMARY)
    assert store.facts(large.id) == {"facts": {}}
    assert list(tmp_path.iterdir()) == []


def test_what_is_deleted_is_gone_whole(tmp_path: Path) -> None:
    store = CaptureStore(tmp_path)
    made = store.add(b"x", None, NOW)
    store.audited(made.id, {"facts": {}}, SUMMARY)
    assert store.delete(made.id)
    assert not store.delete(made.id)
    assert (store.get(made.id), store.raw(made.id), store.mail(made.id), store.facts(made.id)) == (None,) * 4
    assert store.audited(made.id, {}, SUMMARY) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ident", ["..", "../../etc", "", "20261124T120000-00000456789abcdef", "\0"])
def test_an_id_leads_nowhere_else(tmp_path: Path, ident: str) -> None:
    store = CaptureStore(tmp_path / "mails")
    (tmp_path / "raw.eml").write_bytes(b"secret")
    assert (store.get(ident), store.raw(ident), store.facts(ident)) == (None, None, None)
    assert not store.delete(ident)


def test_a_message_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CaptureStore(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("deliverability.listen.store.write_whole", full)
    with pytest.raises(OSError, match="No space"):
        store.add(b"x", None, NOW)
    assert list(tmp_path.iterdir()) == []
    assert len(store) == 0


def test_meta_holds_what_the_api_says(tmp_path: Path) -> None:
    made = CaptureStore(tmp_path).add(b"x", ENVELOPE, NOW)
    assert json.loads((tmp_path / made.id / "meta.json").read_text("utf-8")) == made.document()
