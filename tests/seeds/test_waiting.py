"""A test mail is waited for in twelve kinds of mailboxes: where it is, that it is missing, or that nobody can tell."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest

from deliverability.seeds.mailbox import UNSEEN_FOLDER, Outcome, await_mail
from deliverability.seeds.values import Folder, Mark
from tests.sampled import sampled
from tests.seeds.fakeimap import FakeFolder, FakeReceiver, serving
from tests.seeds.receivers import KINDS, MARK, NOW, TOKEN, Kind, MovingClock, mail, seed

UNTIL = NOW + timedelta(minutes=30)
READING = re.compile(rb"CAPABILITY|LOGIN .*|AUTHENTICATE .*|ID .*|LIST .*|EXAMINE .*|UID SEARCH .*|LOGOUT", re.DOTALL)
HEADER_ONLY = re.compile(rb"UID FETCH \d+ \(UID INTERNALDATE BODY\.PEEK\[HEADER\]\)")

CASES = ("inbox", "spam", "other", "missing", "late", "login refused", "TLS refused", "closes in the middle")


async def awaited(kind: Kind, receiver: FakeReceiver, clock: MovingClock, mark: Mark = MARK, **how: str) -> Outcome:
    async with serving(receiver) as port:
        (found,) = await await_mail([seed(kind, port, **how)], mark, UNTIL, clock, sleep=clock.sleep)  # type: ignore[arg-type]
    return found


@pytest.mark.long
@pytest.mark.parametrize("case", sampled([*CASES], 3))
@pytest.mark.parametrize("name", KINDS)
async def test_what_is_so_is_told(name: str, case: str) -> None:
    kind = KINDS[name]
    receiver, clock, security = kind.make(), MovingClock(), "none"
    arrived = NOW + timedelta(seconds=41)
    match case:
        case "inbox":
            receiver.put(b"INBOX", mail(), arrived)
        case "spam":
            receiver.put(kind.spam_name, mail(), arrived)
        case "other":
            receiver.put(kind.other_name, mail(), arrived)
        case "late":
            arrived = NOW + timedelta(minutes=25)

            def then(now: datetime) -> None:
                if now >= arrived and not receiver.folders[0].mails:
                    receiver.put(b"INBOX", mail(), arrived)

            clock.then = then
        case "login refused":
            receiver.put(b"INBOX", mail(), arrived)
            receiver.refuses_login = True
        case "TLS refused":
            receiver.put(b"INBOX", mail(), arrived)
            security = "tls"
        case "closes in the middle":
            receiver.put(b"INBOX", mail(), arrived)
            receiver.breaks = -1
    found = await awaited(kind, receiver, clock, security=security)
    wanted = {
        "missing": Folder.MISSING,
        "late": Folder.INBOX,
        "login refused": Folder.UNREACHABLE,
        "TLS refused": Folder.UNREACHABLE,
        "closes in the middle": Folder.UNREACHABLE,
    }.get(case) or Folder(case)
    assert found.folder is wanted
    assert (found.sighting is not None) == (wanted in (Folder.INBOX, Folder.SPAM, Folder.OTHER))
    if found.sighting is not None:
        assert found.sighting.arrived == arrived
        assert found.sighting.header.count(b"Subject:") == 1
    if case in ("inbox", "spam", "other"):
        assert clock.waits == [], "it is there, so it is found at the first look"
    if case == "late":
        assert timedelta(0) <= found.at - arrived <= timedelta(seconds=120), "within two looks"
    if case in ("missing", "closes in the middle"):
        assert found.at == UNTIL, "only when the time is up"
    if case in ("login refused", "TLS refused"):
        assert clock.waits == [], "nobody is asked again and again who has said no"
        assert found.detail is not None
        assert found.detail.code == {"login refused": "imap-login", "TLS refused": "seeds-no-tls"}[case]
    odd = [each for each in receiver.asked if not READING.fullmatch(each) and not HEADER_ONLY.fullmatch(each)]
    assert odd == [] or case == "TLS refused", "nothing else is asked of a mailbox"


async def test_it_looks_every_twenty_seconds_and_then_every_minute() -> None:
    clock = MovingClock()
    found = await awaited(KINDS["yahoo"], KINDS["yahoo"].make(), clock)
    assert clock.waits[:5] == [20, 30, 45, 60, 60]
    assert max(clock.waits) == 60
    assert sum(clock.waits) == 30 * 60
    assert found.folder is Folder.MISSING


async def test_a_line_that_breaks_once_is_made_anew() -> None:
    receiver = KINDS["yahoo"].make()
    receiver.put(b"Bulk", mail(), NOW)
    receiver.breaks = 1
    clock = MovingClock()
    assert (await awaited(KINDS["yahoo"], receiver, clock)).folder is Folder.SPAM
    assert clock.waits == [20]


async def test_a_mailbox_that_cannot_be_read_at_the_end_is_not_called_empty() -> None:
    """It could be read before, and the mail may have come since."""
    receiver, clock = KINDS["yahoo"].make(), MovingClock()

    def then(now: datetime) -> None:
        if now >= UNTIL - timedelta(seconds=61) and not receiver.folders[0].mails:
            receiver.put(b"INBOX", mail(), now)
            receiver.breaks = -1

    clock.then = then
    assert (await awaited(KINDS["yahoo"], receiver, clock)).folder is Folder.UNREACHABLE


@pytest.mark.parametrize("tab", ["promotions", "social", "updates", "forums", "primary"])
async def test_gmail_tells_the_tab(tab: str) -> None:
    receiver = KINDS["gmail"].make()
    receiver.put(b"INBOX", mail(), NOW, tab)
    found = await awaited(KINDS["gmail"], receiver, MovingClock())
    assert found.sighting is not None
    assert found.sighting.tab == tab


async def test_others_have_no_tabs() -> None:
    receiver = KINDS["icloud"].make()
    receiver.put(b"INBOX", mail(), NOW, "promotions")
    found = await awaited(KINDS["icloud"], receiver, MovingClock())
    assert found.sighting is not None
    assert found.sighting.tab == ""
    assert not [each for each in receiver.asked if b"X-GM" in each]


async def test_no_folder_is_guessed_by_its_name() -> None:
    """A folder called Junk may be somebody's collection of old cars."""
    receiver = FakeReceiver(KINDS["outlook"].make().folders)
    receiver.put(b"Junk Email", mail(), NOW)
    found = await awaited(Kind(KINDS["outlook"].make, b"", b""), receiver, MovingClock())
    assert found.folder is Folder.OTHER
    assert found.sighting is not None
    assert found.sighting.odd


async def test_a_folder_for_spam_that_is_not_there_is_told() -> None:
    kind = Kind(KINDS["yahoo"].make, b"", b"", spam="Spam")
    found = await awaited(kind, kind.make(), MovingClock())
    assert (found.folder, found.detail and found.detail.code) == (Folder.UNREACHABLE, "seeds-no-spam-folder")


NOTHING = ""
MARKS = {
    "header field": (MARK, mail(), True),
    "header field in capitals": (MARK, mail(header=f"x-deliv-seed: {TOKEN.upper()}\r\n"), True),
    "Message-ID": (Mark("", "1@example.com", NOW), mail(header=NOTHING), True),
    "plus": (MARK, mail(header=NOTHING, to=f"me+{TOKEN}@example.com"), True),
    "subject": (MARK, mail(header=NOTHING, subject=f"News [{TOKEN}]"), True),
    "encoded subject": (MARK, mail(header=NOTHING, subject=f"=?utf-8?q?{TOKEN}_n=C3=A4chste?="), True),
    "text of the mail": (MARK, mail(header=NOTHING), False),
    "another token that begins so": (MARK, mail(header=f"X-Deliv-Seed: {TOKEN}x\r\n"), False),
    "another Message-ID": (Mark("", "1@example.co", NOW), mail(header=NOTHING), False),
    "subject with a longer word": (MARK, mail(header=NOTHING, subject=f"{TOKEN}abc"), False),
}


@pytest.mark.parametrize("name", MARKS)
async def test_by_what_a_mail_is_known(name: str) -> None:
    mark, octets, known = MARKS[name]
    receiver = KINDS["icloud"].make()
    receiver.put(b"Junk", octets, NOW)
    found = await awaited(KINDS["icloud"], receiver, MovingClock(), mark)
    assert found.folder is (Folder.SPAM if known else Folder.MISSING)


async def test_a_server_that_does_not_search_a_field_finds_by_the_next_and_is_not_called_empty() -> None:
    """Where it refused to look for the mark, the mail may be there."""
    receiver = KINDS["yahoo"].make()
    receiver.unsearchable = True
    assert (await awaited(KINDS["yahoo"], receiver, MovingClock())).folder is Folder.UNREACHABLE
    receiver.put(b"INBOX", mail(subject=f"News {TOKEN}"), NOW)
    assert (await awaited(KINDS["yahoo"], receiver, MovingClock())).folder is Folder.INBOX


async def test_where_a_folder_cannot_be_opened_nothing_is_called_missing() -> None:
    receiver = KINDS["icloud"].make()
    receiver.folders.append(FakeFolder(b"Shared"))
    receiver.lie = lambda command, said: b"TAG NO not yours\r\n" if command == b'EXAMINE "Shared"' else said
    found = await awaited(KINDS["icloud"], receiver, MovingClock())
    assert found.folder is Folder.UNREACHABLE
    assert found.detail == UNSEEN_FOLDER(name="Shared")
    receiver.put(b"Junk", mail(), NOW)
    assert (await awaited(KINDS["icloud"], receiver, MovingClock())).folder is Folder.SPAM


async def test_more_folders_than_are_looked_at_are_not_called_empty() -> None:
    receiver = KINDS["icloud"].make()
    receiver.folders += [FakeFolder(b"F%d" % number) for number in range(210)]
    found = await awaited(KINDS["icloud"], receiver, MovingClock())
    assert (found.folder, found.detail and found.detail.code) == (Folder.UNREACHABLE, UNSEEN_FOLDER.name)


@pytest.mark.parametrize("name", ["gmail", "icloud"])
async def test_what_a_filter_threw_away_is_found_in_the_trash(name: str) -> None:
    """Gmail's folder of all mail does not have it."""
    receiver = KINDS[name].make()
    receiver.folders.append(FakeFolder(b"Bin", b"\\Trash"))
    receiver.put(b"Bin", mail(), NOW)
    assert (await awaited(KINDS[name], receiver, MovingClock())).folder is Folder.OTHER


async def test_one_s_own_copy_has_not_arrived() -> None:
    """What was sent from the same mailbox lies in Sent."""
    receiver = KINDS["icloud"].make()
    receiver.put(b"Sent", mail(), NOW)
    assert (await awaited(KINDS["icloud"], receiver, MovingClock())).folder is Folder.MISSING


@pytest.mark.parametrize("name", ["icloud", "outlook"])
async def test_a_server_that_repeats_the_password_gives_it_to_nobody(name: str) -> None:
    kind = KINDS[name]
    receiver = kind.make()
    receiver.password = "other"
    found = await awaited(kind, receiver, MovingClock(), password="öpen sesame")
    assert found.folder is Folder.UNREACHABLE
    assert "sesame" not in repr(found)


async def test_a_server_that_offers_no_encryption_gets_no_password() -> None:
    """Somebody on the way can take the offer out of the answer."""
    receiver = KINDS["yahoo"].make()
    receiver.put(b"INBOX", mail(), NOW)
    found = await awaited(KINDS["yahoo"], receiver, MovingClock(), security="starttls")
    assert (found.folder, found.detail and found.detail.code) == (Folder.UNREACHABLE, "seeds-no-tls")
    assert not [each for each in receiver.asked if each.startswith((b"LOGIN", b"AUTHENTICATE"))]


async def test_each_mailbox_has_its_own_answer_in_the_order_of_the_settings() -> None:
    clock = MovingClock()
    told: list[str] = []
    first, second = KINDS["yahoo"].make(), KINDS["gmail"].make()
    second.put(b"INBOX", mail(), NOW)
    async with serving(first) as one, serving(second) as other:
        seeds = [seed(KINDS["yahoo"], one, "y"), seed(KINDS["gmail"], other, "g")]
        found = await await_mail(
            seeds, MARK, UNTIL, clock, sleep=clock.sleep, tell=lambda each: told.append(each.seed.name)
        )
    assert [(each.seed.name, each.folder) for each in found] == [("y", Folder.MISSING), ("g", Folder.INBOX)]
    assert told == ["g", "y"]
    fetches = [each for each in second.asked if each.startswith(b"UID FETCH")]
    assert len(fetches) == 1, "what was found is not looked at again"
