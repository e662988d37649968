"""`deliv seeds` on the command line: what it prints, and what it says to those who made a slip."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from deliverability.cli import deliv
from deliverability.console.settings import ConfigError, load
from deliverability.core.model.report import VerdictKind
from deliverability.core.net.clock import stamp
from deliverability.core.phrases import LANGUAGES, phrases
from deliverability.core.store.store import History
from deliverability.seeds.kept import SeedHistory
from deliverability.seeds.values import Folder, Placed
from tests.seeds.fakeimap import FakeReceiver, serving
from tests.seeds.receivers import KINDS, TOKEN, mail

BOX = '[[seed]]\nname = "{name}"\naddress = "{address}"\npassword_env = "SEED_PASSWORD"\n'
GMAIL = BOX.format(name="g1", address="me@gmail.com")


def write(folder: Path, *tables: str) -> Path:
    file = folder / "deliv.toml"
    file.write_text(f'history = "sqlite:///{folder}/history.sqlite3"\n' + "".join(tables), "utf-8")
    return file


def run(file: Path, *words: str, lang: str = "en") -> tuple[int, str]:
    env = {"SEED_PASSWORD": FakeReceiver().password, "DELIV_LANG": lang}
    result = CliRunner().invoke(deliv, ["seeds", *words, "--config", str(file)], env=env, standalone_mode=False)
    if result.exception is not None:
        return result.exception.exit_code, result.exception.format_message()  # type: ignore[attr-defined]
    return result.return_value, result.output


def keep(file: Path, *rows: Placed) -> None:
    history = History.open(f"sqlite:///{file.parent}/history.sqlite3")
    SeedHistory(history).keep(rows)
    history.close()


def row(test: str, folder: Folder = Folder.INBOX, verdict: VerdictKind = VerdictKind.ACCEPTED) -> Placed:
    now = stamp(datetime.now(UTC))
    return Placed(test, "gmail", "g1", "example.com", now, now, folder, verdict=verdict)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_list_says_where_to_send_and_how_to_mark(tmp_path: Path, lang: str) -> None:
    code, text = run(write(tmp_path, GMAIL), "list", lang=lang)
    (token,) = re.findall(r"X-Deliv-Seed: (\S+)", text)
    assert code == 0
    assert "me@gmail.com" in text
    assert f"me+{token}@gmail.com" in text
    assert f"deliv seeds await {token}" in text


def test_each_list_has_a_token_of_its_own(tmp_path: Path) -> None:
    file = write(tmp_path, GMAIL)
    made = {json.loads(run(file, "list", "--format", "json")[1])["token"] for _ in range(20)}
    assert len(made) == 20


def test_after_four_tests_a_day_there_is_a_rest(tmp_path: Path) -> None:
    """A test that is read once more is none."""
    file = write(tmp_path, BOX.format(name="g1", address="me@example.com"), 'host = "127.0.0.1"\nport = 1\n')
    keep(file, *(row(f"test-{number}") for number in range(4)))
    assert json.loads(run(file, "list", "--format", "json")[1])["tests_left_today"] == 0
    code, text = run(file, "await", "test-9", "--minutes", "0")
    assert (code, "tests_a_day" in text) == (2, True)
    assert run(file, "await", "test-3", "--minutes", "0", "--offline")[0] == 3
    file.write_text(file.read_text() + "[seeds]\ntests_a_day = 5\n")
    assert run(file, "await", "test-9", "--minutes", "0", "--offline")[0] == 3


SLIPS = {
    "no mailbox": ((), ("list",), "[[seed]]"),
    "neither token nor Message-ID": ((GMAIL,), ("await",), "--message-id"),
    "no token": ((GMAIL,), ("await", "a b"), "'a b' is not a token"),
    "a token that would end a search": ((GMAIL,), ("await", 'abcdef" X'), "is not a token"),
    "no Message-ID": ((GMAIL,), ("await", "--message-id", 'a"b@c'), "is not a Message-ID"),
    "no time": ((GMAIL,), ("await", TOKEN, "--sent", "yesterday"), "is not a time"),
    "in the future": ((GMAIL,), ("await", TOKEN, "--sent", "2999-01-01"), "is in the future"),
    "longer than half an hour": ((GMAIL,), ("await", TOKEN, "--minutes", "31"), "30"),
    "another mailbox": ((GMAIL,), ("await", TOKEN, "--mailbox", "g2"), "no test mailbox g2 in the settings; known: g1"),
    "no message": ((GMAIL,), ("await", TOKEN, "--eml", "nowhere.eml"), "nowhere.eml"),
    "no host": ((BOX.format(name="o", address="me@outlook.com"),), ("list",), "set host, the IMAP server"),
    "no receiver": ((GMAIL, 'receiver = "gmial"\n'), ("list",), "'gmial' is not a known receiver"),
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_told(tmp_path: Path, name: str) -> None:
    tables, words, told = SLIPS[name]
    code, text = run(write(tmp_path, *tables), *words)
    assert (code, told in text) == (2, True), text


BAD = {
    "name": ('[[seed]]\naddress = "a@example.com"\npassword_env = "X"\n', "name"),
    "address": ('[[seed]]\nname = "a"\naddress = "Me <a@example.com>"\npassword_env = "X"\n', "address"),
    "no password": ('[[seed]]\nname = "a"\naddress = "a@example.com"\n', "password_env"),
    "two passwords": (GMAIL + 'password_file = "x"\n', "password_file"),
    "the same name": (GMAIL + GMAIL, "g1"),
    "a password": (GMAIL + 'password = "x"\n', "password"),
    "a table that is none": ('seed = "g1"\n', "[[seed]]"),
    "too many": ("".join(BOX.format(name=f"b{number}", address="a@gmail.com") for number in range(21)), "20"),
    "too long": ("[seeds]\nminutes = 31\n", "30"),
}


@pytest.mark.parametrize("name", BAD)
def test_settings_that_cannot_be_used_are_told_with_their_line(tmp_path: Path, name: str) -> None:
    text, told = BAD[name]
    with pytest.raises(ConfigError) as error:
        load(write(tmp_path, text))
    assert told in str(error.value.details)


def test_the_receiver_is_that_of_the_address_where_it_is_not_said(tmp_path: Path) -> None:
    tables = [
        BOX.format(name=f"b{number}", address=f"me@{domain}") + 'host = "127.0.0.1"\n'
        for number, domain in enumerate(("gmail.com", "icloud.com", "docomo.ne.jp", "example.com"))
    ]
    shape = json.loads(run(write(tmp_path, *tables), "list", "--format", "json")[1])
    assert [each["receiver"] for each in shape["mailboxes"]] == ["gmail", "icloud", "docomo", None]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_matrix_has_its_two_figures_with_their_bounds(tmp_path: Path, lang: str) -> None:
    file = write(tmp_path, GMAIL)
    assert run(file, "matrix", lang=lang)[0] == 0
    keep(
        file,
        *(row(f"good-{number}") for number in range(9)),
        row("spam-1", Folder.SPAM),
        row("risk-1", Folder.INBOX, VerdictKind.AT_RISK),
    )
    code, text = run(file, "matrix", lang=lang)
    say = phrases(lang)
    assert code == 0
    figure = say("seeds.matrix.yet-spam", k="1", n="10") + say("seeds.matrix.bounds", low="2", high="40")
    assert "".join(figure.split()) in "".join(text.split())
    shape = json.loads(run(file, "matrix", "--format", "json")[1])
    assert shape["all"]["no_obstacle_yet_spam_or_missing"] == {"k": 1, "n": 10, "low": 0.0179, "high": 0.4042}
    assert shape["all"]["refused_or_at_risk_yet_inbox"]["k"] == 1
    assert shape["receivers"][0]["receiver"] == "gmail"
    written = tmp_path / "matrix.md"
    assert run(file, "matrix", "--format", "markdown", "-o", str(written), lang=lang)[0] == 0
    assert written.read_text("utf-8").count("|---|") == 2


@pytest.mark.parametrize("lang", LANGUAGES)
async def test_what_landed_where_is_told_and_kept(tmp_path: Path, lang: str) -> None:
    """Two mailboxes: one with the mail in its spam folder, one that lets nobody in."""
    receiver, closed = KINDS["yahoo"].make(), KINDS["icloud"].make()
    closed.refuses_login = True
    receiver.put(b"Bulk", mail(), datetime.now(UTC))
    async with serving(receiver) as port, serving(closed) as other:
        tables = [
            BOX.format(name=name, address="me@gmail.com") + f'host = "127.0.0.1"\nport = {number}\nsecurity = "none"\n'
            for name, number in (("g1", port), ("g2", other))
        ]
        file = write(tmp_path, *tables)
        code, text = await in_a_thread(file, "await", TOKEN, "--minutes", "0", "--offline", lang=lang)
    say = phrases(lang)
    assert code == 3
    assert f"g1{say('punctuation.aside', text='Gmail')}{say('punctuation.colon')}{say('seeds.folder.spam')}" in text
    assert (
        f"g2{say('punctuation.aside', text='Gmail')}{say('punctuation.colon')}{say('seeds.folder.unreachable')}" in text
    )
    shape = json.loads(run(file, "matrix", "--format", "json")[1])
    assert shape["all"]["n"] == 2


async def in_a_thread(file: Path, *words: str, lang: str) -> tuple[int, str]:
    return await asyncio.to_thread(run, file, *words, lang=lang)


async def test_a_token_comes_from_a_command(tmp_path: Path) -> None:
    """As Outlook.com wants it: no password is accepted there."""
    receiver = KINDS["outlook"].make()
    receiver.put(b"Junk Email", mail(), datetime.now(UTC))
    command = [sys.executable, "-c", f"print({FakeReceiver().password!r})"]
    async with serving(receiver) as port:
        table = BOX.format(name="o1", address="me@outlook.com").replace(
            'password_env = "SEED_PASSWORD"', f"token_command = {json.dumps(command)}"
        )
        file = write(tmp_path, table, f'host = "127.0.0.1"\nport = {port}\nsecurity = "none"\nspam = "Junk Email"\n')
        code, text = await in_a_thread(file, "await", TOKEN, "--minutes", "0", "--offline", lang="en")
    assert (code, "o1 (Outlook.com): spam" in text) == (0, True)
    assert any(each.startswith(b"AUTHENTICATE XOAUTH2") for each in receiver.asked)
