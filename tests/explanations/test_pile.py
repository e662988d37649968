"""`deliv explain` of a pile of bounces: by meaning, most frequent first; a folder, a mailbox file, a mailbox."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import ROOT
from tests.console.test_cli import Deliv, deliv
from tests.imapserver import USER, dovecot

pytestmark = pytest.mark.long

__all__ = ["deliv"]

DEMO = ROOT / "deliverability" / "demo"
CHECKED = ("sakura-shop.example", "--zone", str(DEMO / "example.zone"), "--eml", str(DEMO / "newsletter.eml"))
UNALIGNED = "421-4.7.32 Your email has been rate limited because the From: header is not aligned. - gsmtp"
PILE = {
    "a": "550 5.1.1 <a@example.org>: user unknown",
    "b": "550 5.1.1 <b@gmail.com>: The email account that you tried to reach does not exist. - gsmtp",
    "c": "550 5.1.1 <c@gmail.com>: The email account that you tried to reach does not exist. - gsmtp",
    "d": UNALIGNED,
    "e": "an invitation to lunch",
    ".hidden": "550 5.1.1 user unknown",
}


def mail(reply: str) -> bytes:
    """A notice with that reply, as a mail."""
    return (
        "From: MAILER-DAEMON@example.com\nTo: bounces@example.com\nSubject: Undelivered Mail Returned to Sender\n\n"
        f"<x@example.org>: host mx.example.org said: {reply}\n"
    ).encode()


@pytest.fixture(autouse=True)
def pile(tmp_path: Path) -> Path:
    folder = tmp_path / "pile"
    folder.mkdir()
    for name, text in PILE.items():
        (folder / name).write_text(text, "utf-8")
    return folder


def test_a_folder_is_summed_up_by_meaning(deliv: Deliv) -> None:
    done = deliv("explain", "pile")
    assert done.code == 0, done.err
    assert done.out.startswith("5 items; 1 has no SMTP reply\n")
    first, second = (done.out.index(words) for words in ("doesn't exist at Google", "doesn't exist at the receiver"))
    assert first < second
    assert "Gmail 2 · cause: the address · don't retry" in done.out
    assert "ALN-001" in done.out
    assert not Path("deliv.db").exists()
    assert {path.name for path in Path().iterdir()} == {"pile"}


@pytest.mark.parametrize(
    ("lang", "line"),
    [
        ("en", "unknown receiver 3, Gmail 2, docomo mail 1, Outlook.com 1, au mail 1, other receivers 1 · cause"),
        ("ja", "受信側不明 3、Gmail 2、ドコモメール 1、Outlook.com 1、auメール 1、ほかの受信側1 · "),
    ],
)
def test_receivers_that_are_not_known_are_no_rest_of_those_that_are(
    deliv: Deliv, tmp_path: Path, lang: str, line: str
) -> None:
    folder = tmp_path / "full"
    folder.mkdir()
    hosts = ["mx.example.org"] * 3 + ["mx.google.com"] * 2
    hosts += ["mfsmax.docomo.ne.jp", "x.olc.protection.outlook.com", "lsean.ezweb.ne.jp", "mx.softbank.ne.jp"]
    for number, host in enumerate(hosts):
        (folder / str(number)).write_bytes(mail("550 5.7.0 Mail rejected").replace(b"mx.example.org", host.encode()))
    assert line in " ".join(deliv("explain", "full", "--lang", lang).out.split())


def test_what_was_accepted_is_nothing_to_retry(deliv: Deliv, pile: Path) -> None:
    (pile / "f").write_text("250 2.0.0 OK", "utf-8")
    accepted = deliv("explain", "pile").out.partition("The receiver accepted the mail.")[2].splitlines()[1]
    assert accepted.strip() == "unknown receiver 1 · accepted"


def test_the_same_in_japanese(deliv: Deliv) -> None:
    done = deliv("explain", "pile", "--lang", "ja")
    assert done.out.startswith("5件、メールサーバーの応答がないもの1件\n")
    assert "Gmail 2 · 宛先のアドレス · 再送不可" in done.out


def test_a_domain_shows_which_rules_behind_it_are_unmet_now(deliv: Deliv) -> None:
    done = deliv("explain", "pile", *CHECKED)
    assert done.code == 1
    assert "Not met now:" in done.out
    document = json.loads(deliv("explain", "pile", *CHECKED, "--format", "json").out)
    unmet = {each["id"]: each["unmet"] for each in document["pile"]["meanings"]}
    assert unmet["gmail-alignment"] == ["ALN-001"]
    assert unmet["gmail-no-account"] == []


def test_for_programs(deliv: Deliv) -> None:
    document = json.loads(deliv("explain", "pile", "--format", "json").out)
    found = document["pile"]
    assert (found["items"], found["without_reply"], found["unread"]) == (5, {"text": 1}, 0)
    assert [(each["id"], each["count"], each["about"], each["retry"]) for each in found["meanings"]] == [
        ("gmail-no-account", 2, "address", "no"),
        ("words-user-unknown", 1, "address", "no"),
        ("gmail-alignment", 1, "sender", "after-fix"),
    ]
    assert found["meanings"][0]["receivers"] == [{"id": "gmail", "count": 2}]
    assert found["meanings"][2]["unmet"] is None
    assert document["kind"] == "pile"


def test_a_mailbox_file_of_several_messages_is_a_pile_and_of_one_is_a_bounce(deliv: Deliv) -> None:
    one = b"From MAILER-DAEMON Wed Nov 25 10:00:00 2026\n" + mail(UNALIGNED) + b"\n"
    Path("one.mbox").write_bytes(one)
    Path("three.mbox").write_bytes(one * 3)
    assert "What to do now" in deliv("explain", "one.mbox").out
    assert deliv("explain", "three.mbox").out.startswith("3 items\n\n  3  ")


def test_what_cannot_be_read_is_told(deliv: Deliv, pile: Path) -> None:
    (pile / "gone").symlink_to("nothing")
    (pile / "closed").write_text(UNALIGNED)
    (pile / "closed").chmod(0)
    done = deliv("explain", "pile")
    unread = (pile / "closed").stat().st_uid != 0  # root reads everything
    assert (done.code == 3) is unread
    assert ("could not be read" in done.out) is unread


@pytest.mark.parametrize("nothing", ["", " "])
def test_an_empty_text_is_no_name_of_this_folder(deliv: Deliv, nothing: str) -> None:
    done = deliv("explain", nothing)
    assert (done.code, done.out) == (3, "")
    assert "The input is empty" in done.err


def test_an_empty_folder_holds_no_reply(deliv: Deliv) -> None:
    Path("empty").mkdir()
    done = deliv("explain", "empty")
    assert (done.code, done.out) == (3, "")
    assert "empty" in done.err


def test_a_mailbox_of_the_settings_stays_as_it_is(deliv: Deliv) -> None:
    with dovecot() as server:
        server.fill(*(mail(UNALIGNED).replace(b"\n", b"\r\n") for _ in range(3)), b"Subject: lunch\r\n\r\nnoon?\r\n")
        Path("secret").write_text(server.access().password, "utf-8")
        Path("deliv.toml").write_text(
            f'[[feedback.mailbox]]\nname = "bounces"\nhost = "127.0.0.1"\nport = {server.port}\nsecurity = "none"\n'
            f'username = "{USER}"\npassword_file = "secret"\ndone = "delete"\n'
        )
        for _ in range(2):
            done = deliv("explain", "--mailbox", "bounces")
            assert done.code == 0, done.err
            assert done.out.startswith("4 items; 1 has no SMTP reply")
        done = deliv("explain", "--mailbox", "bounces", *CHECKED)
        assert (done.code, "ALN-001" in done.out) == (1, True)
        done = deliv("explain", "--mailbox", "another")
        assert (done.code, "known: bounces" in done.err) == (2, True)
