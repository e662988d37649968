"""Several messages of one domain: what kind of mail each is, by the user's word or by its marks, and what sent it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest

from deliverability.cli import main
from deliverability.console.inputs import sample_of
from deliverability.core.facts.base import Purpose, SampleSeen
from deliverability.core.inputs import Sample, Subject
from deliverability.core.mail.reader import read
from deliverability.core.mail.received import SmtpEnvelope
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.engine.auditors.attachments import attachments_audit, password_mail_audit
from deliverability.engine.auditors.format import audit as format_audit
from deliverability.engine.base import gather
from deliverability.engine.samples import sample_seen, several, with_samples
from tests import TESTS
from tests.files import zip_with_flags
from tests.signing import TableResolver

GOLDEN = TESTS / "golden"

RECEIVED = "Received: from out.example.com (out.example.com [192.0.2.25])\r\n by mx.example.net with ESMTPS; x\r\n"
HEAD = f"{RECEIVED}From: Shop <shop@example.com>\r\nTo: bob@example.net\r\n"


def sample(header: str = "", name: str = "a.eml", purpose: Purpose | None = None) -> Sample:
    return Sample(name, data=f"{HEAD}{header}\r\nHello\r\n".encode(), purpose=purpose)


@pytest.mark.parametrize(
    ("header", "purpose", "signs"),
    [
        ("List-Unsubscribe: <mailto:u@example.com>\r\n", Purpose.BULK, ("list-unsubscribe",)),
        ("List-Id: <news.example.com>\r\n", Purpose.BULK, ("list-id",)),
        ("Precedence: bulk\r\n", Purpose.BULK, ("precedence-bulk",)),
        ("Feedback-ID: 1:2:news:shop\r\n", Purpose.BULK, ("feedback-id",)),
        ("Auto-Submitted: auto-generated\r\n", Purpose.TRANSACTIONAL, ("auto-generated",)),
        # A provider puts it on every mail; an answering machine answers; nobody says what it is.
        ("Feedback-ID: 1:2:AmazonSES\r\n", None, ()),
        ("Auto-Submitted: auto-replied\r\n", None, ()),
        ("", None, ()),
        # Marks that contradict each other decide nothing.
        (
            "Auto-Submitted: auto-generated\r\nList-Unsubscribe: <mailto:u@example.com>\r\n",
            None,
            ("list-unsubscribe", "auto-generated"),
        ),
        # What somebody's mailing list writes is not the sender's.
        ("List-Post: <mailto:list@example.org>\r\nList-Unsubscribe: <mailto:u@example.org>\r\n", None, ()),
    ],
)
def test_marks_tell_what_kind_of_mail_it_is_or_nothing_does(
    header: str, purpose: Purpose | None, signs: tuple[str, ...]
) -> None:
    seen = sample_seen("a.eml", sample(header), None)
    assert (seen.purpose, seen.signs, seen.by_user) == (purpose, signs, False)


def test_the_word_on_the_message_counts_before_the_word_on_the_domain_and_both_before_marks() -> None:
    marked = "List-Unsubscribe: <mailto:u@example.com>\r\n"
    of_domain = sample_seen("a", sample(marked), Purpose.USERS)
    assert (of_domain.purpose, of_domain.by_user, of_domain.signs) == (Purpose.USERS, True, ())
    of_message = sample_seen("a", sample(marked, purpose=Purpose.TRANSACTIONAL), Purpose.USERS)
    assert of_message.purpose is Purpose.TRANSACTIONAL


def test_what_sent_it_is_the_address_that_its_receiver_wrote_and_who_signed() -> None:
    signed = "".join(f"DKIM-Signature: v=1; a=rsa-sha256; d={name}; s=s; h=from; bh=; b=\r\n" for name in "ABA")
    seen = sample_seen("a", sample(signed.replace("d=A", "d=Example.com").replace("d=B", "d=esp.example")), None)
    assert (seen.address, seen.signers) == ("192.0.2.25", ("example.com", "esp.example"))
    draft = Sample("draft.eml", data=b"From: a@example.com\r\n\r\nx")
    assert (sample_seen("a", draft, None).address, sample_seen("a", draft, None).signers) == ("", ())


@pytest.mark.parametrize(("peer", "address"), [("203.0.113.9", "203.0.113.9"), ("127.0.0.1", "")])
def test_of_what_our_own_server_took_the_connection_tells_unless_it_came_from_here(peer: str, address: str) -> None:
    envelope = SmtpEnvelope(peer, "x", "a@example.com", (), None, public=address != "")
    assert sample_seen("a", Sample("a", data=HEAD.encode(), envelope=envelope), None).address == address


def test_samples_of_one_name_are_told_apart_and_one_alone_is_compared_with_nothing() -> None:
    same = SampleSeen("a.eml")
    assert [each.name for each in several([same, same, same])] == ["a.eml", "a.eml (2)", "a.eml (3)"]
    assert several([same]) == ()


def test_messages_are_held_against_those_of_their_own_domain_alone() -> None:
    other = Sample("c.eml", data=b"From: x@other.example\r\n\r\nx")
    jobs = [
        Subject("example.com", sample(name="a.eml")),
        Subject(sample=sample(name="b.eml")),
        Subject(sample=other),
        Subject("example.com"),
    ]
    told = with_samples(jobs)
    assert [[seen.name for seen in each.samples] for each in told] == [["a.eml", "b.eml"]] * 2 + [[], []]


def test_a_message_that_cannot_be_read_tells_nothing_and_stops_nobody(tmp_path: Path) -> None:
    samples = (sample(), Sample("gone", path=tmp_path / "gone"), sample())
    jobs = [Subject("example.com", each) for each in samples]
    assert [len(each.samples) for each in with_samples(jobs)] == [2, 0, 2]


@pytest.mark.parametrize(
    ("text", "purpose"),
    [
        ("bulk:news.eml", Purpose.BULK),
        ("transactional:news.eml", Purpose.TRANSACTIONAL),
        ("users:news.eml", Purpose.USERS),
        ("news.eml", None),
        ("./bulk:odd.eml", None),
    ],
)
def test_the_option_says_what_kind_of_mail_it_is(
    text: str, purpose: Purpose | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("news.eml", "bulk:odd.eml"):
        Path(name).write_bytes(HEAD.encode() + b"\r\nx")
    found = sample_of(text)
    assert (found.purpose, Path(found.name).name) == (purpose, text.removeprefix(f"{purpose}:").removeprefix("./"))


@pytest.mark.parametrize(
    ("kinds", "outcome"),
    [
        (("bulk:", "transactional:"), "unmet"),
        (("bulk:", "bulk:"), "unknown"),
        (("transactional:",), "unknown"),
    ],
)
def test_two_kinds_of_mail_are_told_apart_by_a_word_before_the_file(
    kinds: tuple[str, ...], outcome: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same mail, called by one name and by the other: each is audited as what it is called."""
    messages = [word for kind in kinds for word in ("--eml", f"{kind}{GOLDEN / 'good.eml'}")]
    with pytest.raises(SystemExit):
        main(["audit", "good.example", "--zone", str(GOLDEN / "good.zone"), *messages, "--format", "json"])
    told = json.loads(capsys.readouterr().out)
    reports = told if isinstance(told, list) else [told]
    assert [f"{each['subject']['purpose']}:" for each in reports] == list(kinds)
    for each in reports:
        (found,) = [one for one in each["findings"] if one["rule"] == "REP-009"]
        assert found["outcome"] == outcome


def mail(ident: str, subject: str, to: str, *files: str) -> Sample:
    """A mail with encrypted archives."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "a@shop.example", to, subject
    made["Message-ID"] = f"<{ident}@shop.example>"
    made.set_content("x")
    for each in files:
        made.add_attachment(zip_with_flags("x.txt", 1), maintype="application", subtype="zip", filename=each)
    return Sample(ident, data=bytes(made))


async def passwords(*samples: Sample) -> list[dict[str, object]]:
    """What each mail of a run says of passwords: the fact and the findings."""
    found = []
    for each in with_samples([Subject("shop.example", sample=one) for one in samples]):
        assert each.sample is not None
        ports = Ports(TableResolver({}), FixedClock(datetime(2026, 11, 29, tzinfo=UTC)))
        auditors = (format_audit, attachments_audit, password_mail_audit)
        gathered = await gather(auditors, each, ports, read(each.sample.read()))
        assert gathered.crashes == ()
        found.append({name: gathered.facts.value(f"message.{name}") for name in ("encrypted_files", "password_mails")})
    return found


async def test_the_mail_with_the_password_is_found_beside_the_one_with_the_files() -> None:
    """It is told once: where the files are, whichever mail was given first."""
    files = mail("files", "見積書の送付", "taro@client.example", "a.zip", "b.zip")
    password = mail("second", "【パスワード】見積書の送付", "Taro <TARO@client.example>")
    told = {"encrypted_files": ("a.zip", "b.zip"), "password_mails": ("second",)}
    nothing = {"encrypted_files": (), "password_mails": ()}
    assert await passwords(files, password) == [told, nothing]
    assert await passwords(password, files) == [nothing, told]


async def test_a_password_without_its_file_is_nothing_to_tell() -> None:
    password = mail("second", "パスワードのお知らせ", "taro@client.example")
    plain = mail("first", "見積書", "taro@client.example")
    strange = mail("third", "見積書", "hanako@client.example", "a.zip")
    assert [each["password_mails"] for each in await passwords(password, plain, strange)] == [(), (), ()]
    assert [each["password_mails"] for each in await passwords(password)] == [None], "alone it is not looked for"


async def test_a_mail_is_not_its_own_second_mail() -> None:
    both = mail("both", "PW: 見積書", "taro@client.example", "a.zip")
    other = mail("other", "見積書", "taro@client.example")
    assert [each["password_mails"] for each in await passwords(both, other)] == [(), ()]
