"""Rejections on demand: what a client gets is what was asked for, and is explained as the receiver's own would be."""

from __future__ import annotations

import asyncio
import re
import smtplib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from deliverability.cli import main
from deliverability.core.errors import InputError
from deliverability.core.model.replies import Meaning, Phase
from deliverability.core.replies.explain import explain
from deliverability.core.replies.match import load_replies
from deliverability.engine.rules import load_rules, rule_folders
from deliverability.listen.faults import FaultKind, Faults
from deliverability.listen.receive import ReceivedMail, SmtpReceiver
from tests.listen.listening import client, listener

HOST = "127.0.0.1"
MESSAGE = "From: a@example.com\r\nSubject: x\r\n\r\nhello\r\n"
RULES = load_rules()
REPLIES = load_replies(rule_folders(()), RULES)


def known() -> tuple[Meaning, ...]:
    return REPLIES.meanings


SAID = [each for each, _, _ in Faults(known)._said]


@asynccontextmanager
async def failing(*asked: str, seed: int = 0) -> AsyncIterator[tuple[int, list[ReceivedMail]]]:
    got: list[ReceivedMail] = []

    async def deliver(mail: ReceivedMail) -> str:
        got.append(mail)
        return "1"

    receiver = SmtpReceiver("localhost", deliver, faults=Faults(known, asked, seed))
    port = await receiver.start(HOST, 0)
    try:
        yield port, got
    finally:
        await receiver.close()


async def send(port: int, *rcpt: str, times: int = 1) -> list[Any]:
    """What each sending came to: ``ok``, the reply with its code, or the name of an error."""

    def one() -> Any:
        try:
            with smtplib.SMTP(HOST, port, timeout=60) as smtp:
                refused = smtp.sendmail("a@example.com", rcpt or ("b@example.org",), MESSAGE)
                return refused or "ok"
        except smtplib.SMTPRecipientsRefused as error:
            return next(iter(error.recipients.values()))
        except smtplib.SMTPResponseException as error:
            return error.smtp_code, error.smtp_error
        except smtplib.SMTPServerDisconnected:
            return "dropped"

    return [await asyncio.to_thread(one) for _ in range(times)]


@pytest.mark.parametrize("meaning", SAID, ids=lambda meaning: meaning.id)
def test_every_known_reply_is_explained_as_its_example(meaning: Meaning) -> None:
    """Line by line as a client reads it, it means what the example means; and the words are those of the example."""
    fault = Faults(known).read(f"data={meaning.id}")
    lines = fault.reply.split("\r\n")
    assert [line[3] for line in lines] == ["-"] * (len(lines) - 1) + [" "]
    assert max(len(line.encode()) for line in lines) <= 510
    receiver = meaning.receiver if meaning.receiver in REPLIES.hosts else ""
    told = explain(fault.reply.encode(), REPLIES, RULES, receiver).replies
    wanted = explain(meaning.example.encode(), REPLIES, RULES, receiver).replies
    assert [each.meaning.id for each in told if each.meaning] == [each.meaning.id for each in wanted if each.meaning]
    assert spoken(fault.reply) == spoken(meaning.example)


def spoken(reply: str) -> list[str]:
    """The words without the codes before them."""
    return [word for word in reply.split() if not re.fullmatch(r"[45]\d\d(-.*)?|[45]\.\d+\.\d+", word)]


def test_there_are_enough_of_them() -> None:
    assert len(SAID) > 200
    assert {"gmail", "outlook", "yahoo", "docomo", "icloud"} <= {each.receiver for each in SAID}


async def test_a_client_gets_the_words_of_the_receiver() -> None:
    async with failing("data=550-5.7.26:gmail") as (port, got):
        ((code, text),) = await send(port)
    assert code == 550
    assert text.decode().startswith("5.7.26 This mail has been blocked because the sender is unauthenticated.")
    assert b"\n5.7.26 Authentication results:" in text
    assert got == [], "what was rejected is not kept"
    (told,) = explain(b"550-" + b" 550-".join(text.split(b"\n")), REPLIES, RULES, "").replies
    assert told.meaning is not None
    assert told.meaning.id == "gmail-unauthenticated"


async def test_only_the_first_is_deferred_as_with_greylisting() -> None:
    async with failing("rcpt=451:1") as (port, got):
        first, *others = await send(port, times=3)
    assert first[0] == 451
    assert others == ["ok", "ok"]
    assert len(got) == 2


async def test_each_stage_fails_by_itself() -> None:
    async with failing("mail=421") as (port, _):
        assert (await send(port))[0][0] == 421
    async with failing("rcpt=550:1") as (port, got):
        ((refused),) = await send(port, "b@example.org", "c@example.org")
        assert list(refused) == ["b@example.org"], "the other recipient gets it"
        assert got[0].rcpt == ("c@example.org",)


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data"])
async def test_a_connection_is_dropped(stage: str) -> None:
    async with failing(f"{stage}=drop:1") as (port, got):
        assert await send(port, times=2) == ["dropped", "ok"]
        assert len(got) == 1


async def test_a_delay_is_waited_for_and_then_the_next_comes() -> None:
    async with failing("data=delay:0.01", "data=552") as (port, _):
        assert (await send(port))[0][0] == 552
    async with failing("rcpt=delay:0.01") as (port, _):
        assert await send(port) == ["ok"]


async def test_a_recipient_asks_for_itself() -> None:
    async with failing() as (port, got):
        assert (await send(port, "fail+550@example.com"))[0][0] == 550
        code, text = (await send(port, "Fail+data+550-5.7.26+gmail@example.com"))[0]
        assert (code, b"5.7.26" in text) == (550, True)
        assert await send(port, "fail+drop@example.com") == ["dropped"]
        assert await send(port, "fail+delay-0.01@example.com") == ["ok"]
        code, text = (await send(port, "fail+nonsense@example.com"))[0]
        assert code == 553
        assert b"delay:SECONDS" in text
        assert await send(port, "failure@example.com", "a+fail@example.com") == ["ok"]
        assert len(got) == 2


def test_a_share_depends_on_the_seed_alone() -> None:
    def hit(seed: int, asked: str = "rcpt=450:30%") -> list[bool]:
        faults = Faults(known, [asked], seed)
        return [any(faults.at(Phase.RCPT, ())) for _ in range(400)]

    assert hit(1) == hit(1) != hit(2)
    assert 80 < sum(hit(1)) < 160
    assert not any(hit(1, "rcpt=450:0%"))
    assert all(hit(1, "rcpt=450:100%"))
    assert sum(hit(1, "rcpt=450:100%:5")) == 5


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("", "STAGE=REPLY"),
        ("rcpt", "STAGE=REPLY"),
        ("=550", "mail, rcpt, data"),
        ("helo=550", "mail, rcpt, data"),
        ("rcpt=250", "550-5.7.26"),
        ("rcpt=abc", "550-5.7.26"),
        ("rcpt=550-4.7.1", "550-5.7.26"),
        ("rcpt=no-such-reply", "gmail-dmarc-policy"),
        ("rcpt=delay", "delay:SECONDS"),
        ("rcpt=delay:-1", "delay:SECONDS"),
        ("rcpt=delay:601", "600"),
        ("rcpt=delay:nan", "delay:SECONDS"),
        ("rcpt=550:0", "the first N"),
        ("rcpt=550:101%", "25%"),
        ("rcpt=550:", "the first N"),
        ("rcpt=drop:gmail", "WHEN"),
        ("rcpt=550:gmial", "gmail"),
        ("data=599:gmail", "550-5.7.26"),
    ],
)
def test_what_cannot_be_read_says_what_can(asked: str, names: str) -> None:
    with pytest.raises(InputError, match=names):
        Faults(known, [asked])


def test_a_code_that_nobody_says_is_said_plainly() -> None:
    fault = Faults(known).read("data=599-5.9.9")
    assert (fault.kind, fault.reply) == (FaultKind.REPLY, "599 5.9.9 rejected")


async def test_the_api_shows_and_replaces_what_fails() -> None:
    service = listener(faults=Faults(known, ["rcpt=451:1"], 7))
    async with client(service) as web:
        assert (await web.get("/api/chaos")).json() == {"fail": ["rcpt=451:1"], "seed": 7}
        origin = {"origin": "http://127.0.0.1:8025"}
        put: Callable[..., Any] = lambda body: web.put("/api/chaos", json=body, headers=origin)  # noqa: E731
        assert (await put({"fail": ["data=550"]})).json() == {"fail": ["data=550"], "seed": 0}
        assert [each.stage for each in service.faults.at(Phase.DATA, ())] == ["data"]
        for wrong in ({}, [], {"fail": "rcpt=451"}, {"fail": [1]}, {"fail": [], "seed": "x"}, {"fail": [], "more": 1}):
            assert (await put(wrong)).status_code == 400
        answer = await put({"fail": ["rcpt=451", "helo=550"]})
        assert (answer.status_code, answer.json()["details"][0]["code"]) == (422, "fault-no-stage")
        assert (await put({"fail": ["rcpt=451"] * 101})).status_code == 422
        assert (await web.get("/api/chaos")).json() == {"fail": ["data=550"], "seed": 0}, (
            "what is wrong changes nothing"
        )
        stranger = await web.put("/api/chaos", json={"fail": []}, headers={"origin": "http://evil.example"})
        assert stranger.status_code == 403


async def test_a_listener_without_faults_has_none_to_show() -> None:
    """As a public one."""
    async with client(listener()) as web:
        assert (await web.get("/api/chaos")).status_code == 404
        origin = {"origin": "http://127.0.0.1:8025"}
        assert (await web.put("/api/chaos", json={"fail": []}, headers=origin)).status_code == 404


@pytest.mark.parametrize(
    ("args", "lang", "told"),
    [
        (["--fail", "helo=550"], "en", "--fail: 'helo' is not a stage; use one of: mail, rcpt, data"),
        (["--fail", "helo=550"], "ja", "使えるもの：mail"),
        (["--fail", "rcpt=451", "--public"], "en", "use only one of these: --fail, --public"),
        (["--fail", "rcpt=451", "--seed", "x"], "en", "--seed"),
    ],
)
def test_the_command_line_says_what_is_wrong(
    args: list[str], lang: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["listen", "--smtp", "127.0.0.1:0", "--web", "none", *args, "--lang", lang])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
