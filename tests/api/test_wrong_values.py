"""Whatever is passed to the public API: an InputError that names the parameter, or an answer; nothing else."""

from __future__ import annotations

import asyncio
import decimal
import io
import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from email.message import EmailMessage, Message
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from deliverability import (
    DelivError,
    InputError,
    Outcome,
    Purpose,
    Report,
    RuleError,
    Session,
    StaticResolver,
    Verdict,
    audit,
    audit_async,
    diff,
    explain,
    read_zone,
)
from tests.api.worlds import WORLD, ZONE
from tests.sampled import sampled
from tests.together import together


class Mute:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class BadPath:
    def __fspath__(self) -> str:
        raise RuntimeError("no path")


class OctetPath:
    def __fspath__(self) -> bytes:
        return b"\xff.zone"


class BadIterable:
    def __iter__(self) -> Iterator[str]:
        yield "x"
        raise RuntimeError("no more")


class Unequal:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not compared")

    __hash__ = None  # type: ignore[assignment]


class OddText(str):
    __slots__ = ()

    def strip(self, *args: Any) -> str:
        raise RuntimeError("not stripped")

    def __str__(self) -> str:
        raise RuntimeError("no text")


class UnequalText(str):
    """A text that cannot be compared."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not compared")

    __hash__ = str.__hash__


class SyncResolver:
    def query(self, name: str, rdtype: str) -> None: ...


class HalfMessage(Message):
    def items(self) -> Any:
        raise RuntimeError("no fields")

    def raw_items(self) -> Any:
        raise RuntimeError("no fields")


def message_that_cannot_be_written() -> EmailMessage:
    made = EmailMessage()
    made["Subject"] = "x"
    made.set_payload("\udfff\ud800", charset=None)
    return made


WRONG: dict[str, Any] = {
    "True": True,
    "minus one": -1,
    "a large number": 10**400,
    "a number of 5000 digits": 10**5000,
    "half": 0.5,
    "nan": float("nan"),
    "infinite": float("inf"),
    "complex": 1j,
    "decimal": decimal.Decimal(1),
    "octets": b"\xff\x00",
    "no octets": b"",
    "no text": "",
    "a gap": " \t",
    "nul": "a\0b",
    "escape": "\x1b]0;x\x07",
    "a lone surrogate": "\ud800",
    "an escaped octet": "a\udcff",
    "long": "a" * 1_000_000,
    "long and dotted": "a." * 100_000,
    "a newline": "\n",
    "a word": "no-such-word",
    "braces": "{0} {x!r} %s",
    "odd text": OddText("example.com"),
    "text that is not compared": UnequalText("example.com"),
    "half a character in lines": "\ud83d\n",
    "a path that is not there": Path("no/such/file"),
    "a path with nul": Path("a\0b"),
    "a long path": Path("a" * 5000),
    "a class of paths that raises": BadPath(),
    "a path of octets": OctetPath(),
    "a list": [1, None, []],
    "a list of octets": [b"x"],
    "a list of lists": [["x"]],
    "a dict": {"x": 1},
    "a set": {1, 2},
    "without end": itertools.repeat("x"),
    "an iterator that raises": BadIterable(),
    "an object": object(),
    "an object without text": Mute(),
    "an object that is not compared": Unequal(),
    "a class": Session,
    "a function": audit,
    "a date": date(2026, 11, 29),
    "a naive time": datetime(2026, 11, 29),
    "an aware time": datetime(2026, 11, 29, tzinfo=UTC),
    "a wrong verdict": Verdict.REJECTED,
    "a wrong outcome": Outcome.MET,
    "an open file": io.BytesIO(b"x"),
    "a resolver that does not wait": SyncResolver(),
    "a message that raises": HalfMessage(),
    "a message that cannot be written": message_that_cannot_be_written(),
    "an error": RuntimeError("x"),
}


def audited(name: str) -> Callable[[Any], object]:
    resolver = {} if name in ("resolver", "zones", "session", "offline") else {"resolver": WORLD}
    domain = () if name == "domain" else ("example.com",)
    quick = {} if name == "remedies" else {"remedies": False}
    offline = {} if name in ("offline", "resolver", "session") or resolver else {"offline": True}
    return lambda value: audit(*domain, **{name: value, **resolver, **quick, **offline})  # type: ignore[call-overload]


def in_session(name: str) -> Callable[[Any], object]:
    def call(value: Any) -> object:
        with Session(**{name: value}) as session:
            return session

    return call


def with_session(call: Callable[[Session, Any], object]) -> Callable[[Any], object]:
    def called(value: Any) -> object:
        with Session(resolver=WORLD) as session:
            return call(session, value)

    return called


@cache
def report_text() -> str:
    return audit("example.com", resolver=WORLD, remedies=False).to_json()


OF_AUDIT = (
    *("domain", "message", "zones", "records", "purpose", "daily_volume", "ip", "mail_from", "helo", "selectors"),
    *("receivers", "rules", "resolver", "offline", "timeout", "remedies", "session"),
)
PARAMETERS: dict[str, Callable[[Any], object]] = {
    **{f"audit({name})": audited(name) for name in OF_AUDIT},
    **{f"Session({name})": in_session(name) for name in ("zones", "records", "rules", "resolver", "timeout", "lang")},
    "Session.audit(message)": with_session(lambda session, value: session.audit(message=value, remedies=False)),
    "Session.gate(domain)": with_session(lambda session, value: session.gate(value)),
    "Session.gate(to)": with_session(lambda session, value: session.gate("example.com", to=value)),
    "Session.gate(history)": with_session(lambda session, value: session.gate("example.com", history=value)),
    "diff(old)": lambda value: diff(value, ZONE, base="offline"),
    "diff(new)": lambda value: diff("example.com.zone", value, base="offline"),
    "diff(base)": lambda value: diff("example.com.zone", "example.com.zone", base=value),
    "diff(domains)": lambda value: diff("example.com.zone", "example.com.zone", base="offline", domains=value),
    "diff(message)": lambda value: diff("example.com.zone", "example.com.zone", base="offline", message=value),
    "diff(session)": lambda value: diff("example.com.zone", "example.com.zone", base="offline", session=value),
    "read_zone(path_or_text)": read_zone,
    "read_zone(format)": lambda value: read_zone(ZONE, format=value),
    "explain(reply)": explain,
    "explain(receiver)": lambda value: explain("550 5.7.26 x", receiver=value),
    "Report.from_json(report)": Report.from_json,
    "Report.from_json(lang)": lambda value: Report.from_json(report_text(), lang=value),
    "Report.from_json(rules)": lambda value: Report.from_json(report_text(), rules=value),
}


def refusal(call: Callable[[Any], object], value: Any) -> InputError | None:
    """The InputError that a value leads to; None: it could be used. Everything else is raised."""
    try:
        call(value)
    except InputError as error:
        return error
    return None


@pytest.mark.long
@pytest.mark.parametrize("parameter", sampled([*PARAMETERS], 6))
def test_only_input_errors_come_out(parameter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "example.com.zone").write_text(ZONE)
    name = parameter.partition("(")[2][:-1]
    refused = 0
    with together() as case:
        for what, value in WRONG.items():
            with case(what):
                error = refusal(PARAMETERS[parameter], value)
                if error is not None:
                    refused += 1
                    assert name in str(error) or name == "path_or_text", str(error)
                    assert error.code
                    assert max(len(str(error)), len(error.text("ja")), len(repr(dict(error.values)))) < 2_000
    assert refused >= 25, f"{parameter} refused {refused} of {len(WRONG)}"


def test_the_table_is_as_large_as_it_says() -> None:
    assert len(PARAMETERS) >= 25
    assert len(PARAMETERS) * len(WRONG) >= 200 * 5


def test_errors_are_values() -> None:
    assert issubclass(InputError, DelivError)
    assert issubclass(RuleError, DelivError)
    with pytest.raises(InputError) as caught:
        audit("example.com", purpose="bulkk")
    error = caught.value
    assert (error.code, error.place, error.values["value"]) == ("value-not-one-of", "purpose", "bulkk")
    assert str(error).endswith("did you mean bulk?")
    assert error.text("ja").startswith("purpose：「bulkk」")


def test_rule_files_are_told_by_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("- id: 1\n")
    with pytest.raises(RuleError, match=r"own\.yaml:1") as caught:
        audit("example.com", rules=tmp_path, resolver=WORLD)
    assert "own.yaml:1" in caught.value.place


@pytest.mark.parametrize(
    "conflict",
    [
        {"zones": "."},
        {"records": "example.com TXT x"},
        {"rules": "."},
        {"resolver": "192.0.2.1"},
        {"offline": True},
        {"timeout": 3},
    ],
)
def test_a_session_decides_where_answers_come_from(conflict: dict[str, Any]) -> None:
    with Session(resolver=WORLD) as session, pytest.raises(InputError, match=next(iter(conflict))) as caught:
        audit("example.com", session=session, **conflict)
    assert caught.value.code == "of-session"


def test_what_contradicts_itself_is_named_as_it_was_given() -> None:
    with pytest.raises(InputError, match="resolver, offline"):
        audit("example.com", resolver="192.0.2.1", offline=True)
    with pytest.raises(InputError, match="resolver, offline"):
        audit("example.com", resolver=WORLD, offline=True)


class Failing:
    """A resolver in which everything goes wrong, one way after the other."""

    def __init__(self, *ways: object) -> None:
        self._ways = itertools.cycle(ways)

    async def query(self, name: str, rdtype: str) -> Any:
        way = next(self._ways)
        if isinstance(way, Exception):
            raise way
        return way

    async def close(self) -> None:
        raise AssertionError("it is the caller's")


@pytest.mark.parametrize(
    "ways",
    [
        (RuntimeError("resolver is closed"),),
        (None,),
        ("v=spf1 -all",),
        (OSError(24, "no file"), 5, Mute(), ValueError()),
    ],
    ids=["closed", "nothing", "text", "many"],
)
def test_trouble_in_a_resolver_is_data(ways: tuple[object, ...]) -> None:
    report = audit("example.com", resolver=Failing(*ways))
    assert {each.outcome for each in report.findings if each.rule == "SPF-001"} == {Outcome.UNKNOWN}
    assert all(each.unknown != "bug" for each in report.findings)
    assert report.unmet == ()


def test_a_resolver_that_never_answers_costs_its_time_and_no_more() -> None:
    class Silent:
        async def query(self, name: str, rdtype: str) -> Any:
            await asyncio.Event().wait()

        async def close(self) -> None: ...

    report = audit("example.com", resolver=Silent(), timeout=0.2)
    assert {each.unknown for each in report.findings if each.rule == "SPF-001"} == {"timeout"}


async def test_in_a_running_loop_the_error_names_what_to_await() -> None:
    with pytest.raises(InputError, match=r"await audit_async\(\)"):
        audit("example.com")
    with Session(resolver=WORLD) as session:
        with pytest.raises(InputError, match=r"await audit_async\(\)"):
            session.audit("example.com")
        with pytest.raises(InputError, match=r"await gate_async\(\)"):
            session.gate("example.com")
    assert (await audit_async("example.com", resolver=WORLD, purpose=Purpose.BULK)).domain == "example.com"


def test_a_closed_session_says_so() -> None:
    session = Session(resolver=StaticResolver({}))
    session.close()
    session.close()
    for call in (lambda: session.audit("example.com"), lambda: asyncio.run(session.audit_async("example.com"))):
        with pytest.raises(InputError, match="closed"):
            call()
