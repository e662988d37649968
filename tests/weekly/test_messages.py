"""Which sample message stands for a domain: files as they are, of mailboxes the newest."""

from __future__ import annotations

import mailbox
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deliverability.console.settings import DomainSettings, Settings
from deliverability.core.codes import Detail
from deliverability.core.errors import InputError
from deliverability.core.facts.base import Purpose
from deliverability.core.inputs import Subject
from deliverability.core.mail.kinds import envelope_beside
from deliverability.core.mail.received import SmtpEnvelope
from deliverability.listen.store import CaptureStore
from deliverability.weekly.messages import MESSAGES_ABSENT, MESSAGES_NO_MAIL, NoMessages, Picked, pick, subjects

pytestmark = pytest.mark.long


def message(author: str, day: int, text: str = "Hello") -> bytes:
    return f"From: <{author}>\r\nDate: {day} Nov 2026 10:00:00 +0900\r\nSubject: {text}\r\n\r\n{text}\r\n".encode()


def octets(picked: Picked) -> bytes:
    return picked.sample().read()


@pytest.fixture
def mails(tmp_path: Path) -> Path:
    """Three messages of two domains; file times say nothing about which is newest."""
    folder = tmp_path / "mails"
    folder.mkdir()
    (folder / "b.eml").write_bytes(message("x@a.example", 3, "newest of a"))
    (folder / "a.eml").write_bytes(message("x@a.example", 2))
    (folder / "c.eml").write_bytes(message("x@news.b.example", 1, "only of b"))
    (folder / "notes.txt").write_text("From: x@a.example\nDate: 30 Nov 2026 10:00:00 +0900\n\n")
    return folder


@pytest.mark.parametrize("place", ["mails/*.eml", "mails"])
def test_of_a_glob_or_folder_the_newest_of_each_domain(mails: Path, place: str) -> None:
    root = mails.parent
    found = pick([str(root / place)], ["a.example", "b.example", "c.example"], root)
    assert [(each.source, b"newest of a" in octets(each)) for each in found["a.example"]] == [(place, True)]
    assert [b"only of b" in octets(each) for each in found["b.example"]] == [True], "a subdomain belongs to its domain"
    assert found["c.example"] == []


def test_the_longest_fitting_domain_takes_it(mails: Path) -> None:
    found = pick([str(mails / "*.eml")], ["b.example", "news.b.example"], mails)
    assert found["b.example"] == []
    assert len(found["news.b.example"]) == 1


def test_a_file_that_is_named_is_taken_whatever_its_date(mails: Path) -> None:
    found = pick([str(mails / "a.eml"), str(mails / "b.eml")], ["a.example"], mails)
    assert [each.source for each in found["a.example"]] == ["a.eml", "b.eml"]
    foreign = pick([str(mails / "c.eml")], ["a.example"], mails)
    assert [each.source for each in foreign["a.example"]] == ["c.eml"], "named for this one domain: the user knows"


def test_a_maildir(tmp_path: Path) -> None:
    box = mailbox.Maildir(tmp_path / "Maildir")
    for day in (1, 9, 5):
        box.add(message("x@a.example", day, f"of day {day}"))
    found = pick([str(tmp_path / "Maildir")], ["a.example"], tmp_path)
    (picked,) = found["a.example"]
    assert picked.source == "Maildir"
    assert b"of day 9" in octets(picked)


def test_an_mbox_gives_the_message_as_it_was_sent(tmp_path: Path) -> None:
    box = mailbox.mbox(tmp_path / "box")
    for day in (1, 9, 5):
        box.add(message("x@a.example", day, f"of day {day}") + b"From here on\r\n")
    box.close()
    (picked,) = pick([str(tmp_path / "box")], ["a.example"], tmp_path)["a.example"]
    assert picked.name == "box #2"
    assert b"of day 9" in octets(picked)
    assert b"\nFrom here on" in octets(picked), "the mark that an mbox puts before such a line is taken off"


def test_a_place_that_is_not_there_is_told_and_an_empty_glob_is_not(tmp_path: Path) -> None:
    with pytest.raises(NoMessages, match=r"gone\.eml does not exist"):
        pick([str(tmp_path / "gone.eml")], ["a.example"], tmp_path)
    assert pick([str(tmp_path / "*.eml")], ["a.example"], tmp_path) == {"a.example": []}


def test_hostile_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(b"\x00\xff" * 5000)
    (tmp_path / "b.eml").write_bytes(b"")
    (tmp_path / "c.eml").write_bytes(b"From: " + b"(" * 100_000)
    assert pick([str(tmp_path / "*.eml")], ["a.example"], tmp_path) == {"a.example": []}


# --- From the settings to what is audited ---


def planned(settings: Settings, folder: Path) -> list[tuple[str, str, tuple[Detail, ...]]]:
    made = subjects(settings, folder, lambda name: name.lower(), Subject)
    return [(each.domain, each.source, each.problems) for each in made]


def test_common_places_are_for_domains_without_places_of_their_own(mails: Path) -> None:
    settings = Settings(
        domains=("B.example", "c.example"),
        messages=(str(mails / "*.eml"),),
        domain=(DomainSettings(name="a.example", messages=(str(mails / "a.eml"), str(mails / "b.eml"))),),
    )
    assert planned(settings, mails) == [
        ("b.example", "*.eml", ()),
        ("c.example", "", ()),
        ("a.example", "a.eml", ()),
        ("a.example", "b.eml", ()),
    ]


def test_a_place_that_cannot_be_read_costs_the_domain_only_its_message(mails: Path) -> None:
    settings = Settings(domain=(DomainSettings(name="a.example", messages=(str(mails / "gone.eml"),)),))
    ((domain, source, problems),) = planned(settings, mails)
    assert (domain, source) == ("a.example", "")
    assert problems == (MESSAGES_ABSENT(place="gone.eml"),)


def test_a_file_that_is_no_mail_is_nobodys_sample(tmp_path: Path) -> None:
    (tmp_path / "deliv.toml").write_text("[[domain]]\nname = 'a.example'\n", "utf-8")
    settings = Settings(domain=(DomainSettings(name="a.example", messages=(str(tmp_path / "deliv.toml"),)),))
    assert planned(settings, tmp_path) == [("a.example", "", (MESSAGES_NO_MAIL(place="deliv.toml"),))]


def test_without_a_domain_there_is_nothing_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no domain to audit"):
        planned(Settings(), tmp_path)


def test_of_test_sends_the_one_that_was_received_last_is_the_sample(tmp_path: Path) -> None:
    """Whatever their dates say: what is sent again bears an old one."""
    store = CaptureStore(tmp_path / "mails")
    seen = SmtpEnvelope("192.0.2.1", "c.example.com", "bounce@example.com", ("t-x@mx.test",), "TLSv1.3", True)
    new = b"From: a@example.com\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\n\r\nold news\r\n"
    first = store.add(new, seen, datetime.now(UTC))
    again = store.add(new.replace(b"2026", b"2020"), seen, datetime.now(UTC))
    os.utime(tmp_path / "mails" / first.id / "raw.eml", (1, 1))
    found = pick([str(tmp_path / "mails/*/raw.eml")], ["example.com"], tmp_path)["example.com"]
    assert [each.path for each in found] == [tmp_path / "mails" / again.id / "raw.eml"]
    assert envelope_beside(tmp_path / "mails" / again.id / "raw.eml") == seen
    assert envelope_beside(tmp_path / "mails" / again.id / "meta.json") is None


@pytest.mark.parametrize("place", ["mails/*/raw.eml", "mails"])
def test_what_a_listener_left_half_written_or_lets_go_of_meanwhile_is_no_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """It may be running, or have been killed while it wrote."""
    folder = tmp_path / "mails"
    store = CaptureStore(folder)

    def samples() -> list[Path | None]:
        return [each.path for each in pick([str(tmp_path / place)], ["example.com"], tmp_path)["example.com"]]

    assert samples() == []
    octets = b"From: a@example.com\r\n\r\nx\r\n"
    kept = store.add(octets, None, datetime.now(UTC))
    half = folder / f".{kept.id}.part"
    half.mkdir()
    (half / "raw.eml").write_bytes(octets)
    (folder / "empty").mkdir()
    assert samples() == [folder / kept.id / "raw.eml"]
    gone = store.add(octets, None, datetime.now(UTC) + timedelta(seconds=1))
    listed = Path.stat

    def stat(path: Path, **more: Any) -> os.stat_result:
        """The listener removes the newest as soon as somebody looks at it."""
        found = listed(path, **more)
        if path == folder / gone.id / "raw.eml":
            store.delete(gone.id)
        return found

    monkeypatch.setattr(Path, "stat", stat)
    assert samples() == [folder / kept.id / "raw.eml"]
    assert store.get(gone.id) is None


def test_the_word_before_a_place_says_what_kind_of_mail_it_is_and_the_history_goes_on(mails: Path) -> None:
    root = mails.parent
    places = (f"bulk:{mails / 'a.eml'}", f"transactional:{mails}")
    found = pick(places, ["a.example"], root)["a.example"]
    assert [(each.source, each.purpose) for each in found] == [
        ("mails/a.eml", Purpose.BULK),
        ("mails", Purpose.TRANSACTIONAL),
    ]


def test_messages_of_a_domain_are_told_of_each_other_by_their_places(mails: Path) -> None:
    table = DomainSettings(name="a.example", messages=(f"bulk:{mails / 'a.eml'}", f"transactional:{mails / '*.eml'}"))
    planned = subjects(Settings(domain=(table,)), mails, str, Subject)
    assert len(planned) == 2
    for each in planned:
        assert [(seen.name, seen.purpose) for seen in each.asked.samples] == [
            ("a.eml", Purpose.BULK),
            ("*.eml", Purpose.TRANSACTIONAL),
        ]
