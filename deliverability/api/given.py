"""What programs give, whatever it is: taken in its usual types, or an InputError that names the parameter."""

from __future__ import annotations

import inspect
import ipaddress
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from email.generator import BytesGenerator
from email.message import Message
from email.policy import SMTP
from enum import StrEnum
from io import BytesIO, IOBase
from itertools import islice
from pathlib import Path
from typing import TypeVar

from deliverability.core.codes import ABOUT, VERBATIM, Code, Detail
from deliverability.core.errors import InputError, file_error
from deliverability.core.inputs import MAX_MESSAGE_OCTETS, TOO_LARGE, Sample
from deliverability.core.model.schema import nearest
from deliverability.core.net.base import Resolver
from deliverability.core.net.open import SettingError
from deliverability.core.rules.problems import RuleError
from deliverability.core.yaml import NOT_ONE_OF

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

WRONG_TYPE = Code("wrong-type", ("expected", "given"))
NOT_PLAIN = Code("text-not-plain")
TOO_LONG = Code("text-too-long", ("n", "most"))
EMPTY = Code("text-empty")
NOT_BETWEEN = Code("number-not-between", ("least", "most"))
TOO_MANY = Code("too-many-values", ("most",))

MOST_TEXT = 10_000  # characters of a name, an address, a record
MOST_VALUES = 10_000
MOST_PATH = 4096  # characters
_NOT_SEVERAL = (str, bytes, bytearray, memoryview, Mapping, Message, IOBase)  # though one can go through them
_STEERING = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_CALLED = {"servers": "resolver", "proposals": "records", "seconds": "timeout"}

PATH = (str, os.PathLike)
ADDRESS = (str, ipaddress.IPv4Address, ipaddress.IPv6Address)
PathGiven = str | os.PathLike[str]
PathsGiven = PathGiven | Iterable[PathGiven]
TextsGiven = str | Iterable[str]
AddressGiven = str | ipaddress.IPv4Address | ipaddress.IPv6Address
MessageGiven = bytes | str | os.PathLike[str] | Message


def wrong(name: str, detail: Detail) -> InputError:
    """The error about a parameter."""
    return InputError(ABOUT(what=name, detail=detail))


def wrong_type(name: str, expected: str, value: object) -> InputError:
    """The error about a value of a type that is not taken; of the value nothing is said, for it may be anything."""
    return wrong(name, WRONG_TYPE(expected=expected, given=type(value).__name__))


@contextmanager
def about(name: str) -> Iterator[None]:
    """Says of which parameter an InputError within is."""
    try:
        yield
    except InputError as error:
        if error.place.partition(":")[0] == name:  # it says so already
            raise
        raise InputError(*(ABOUT(what=name, detail=each) for each in error.details)) from None


@contextmanager
def input_errors() -> Iterator[None]:
    """Around all of a call: what is unusable raises InputError, in rule files RuleError, and no other class."""
    try:
        yield
    except RuleError:
        raise
    except SettingError as error:
        names = {name: _CALLED.get(name, name) for name in error.names}
        raise InputError(*error.named(names).details) from None
    except InputError as error:
        raise InputError(*error.details) from None


def text(name: str, value: object, *, most: int = MOST_TEXT) -> str:
    """One line of text."""
    if not isinstance(value, str):
        raise wrong_type(name, "str", value)
    plain = str.__str__(value)
    if len(plain) > most:
        raise wrong(name, TOO_LONG(n=len(plain), most=most))
    if _STEERING.search(plain):
        raise wrong(name, NOT_PLAIN())
    return plain


def word(name: str, kind: type[E], value: object) -> E:
    """A word of an enumeration, or its text."""
    given = text(name, value)
    words = tuple(each.value for each in kind)
    if given not in words:
        raise wrong(name, nearest(NOT_ONE_OF(value=given, values=words), given, words))
    return kind(given)


def flag(name: str, value: object) -> bool:
    """True or False, and nothing that is taken for one of them."""
    if not isinstance(value, bool):
        raise wrong_type(name, "bool", value)
    return value


def number(name: str, value: object, least: float, most: float, *, whole: bool = False) -> float:
    """A number within limits."""
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise wrong_type(name, "int" if whole else "float", value)
    plain = int.__int__(value) if isinstance(value, int) else float.__float__(value)
    if not least <= plain <= most:  # nor is what is not a number
        raise wrong(name, NOT_BETWEEN(least=least, most=most))
    return plain


def address(name: str, value: object) -> str:
    """An IP address, as text or as the standard library's own."""
    if isinstance(value, ipaddress.IPv4Address | ipaddress.IPv6Address):
        return format(value)
    return text(name, value)


def many(name: str, value: object, each: Callable[[str, object], T], alone: type | tuple[type, ...]) -> tuple[T, ...]:
    """Several values, or one by itself."""
    if value is None:
        return ()
    if isinstance(value, alone):
        return (each(name, value),)
    if isinstance(value, _NOT_SEVERAL) or not isinstance(value, Collection | Iterator):
        raise wrong_type(name, "list", value)
    try:
        values = list(islice(value, MOST_VALUES + 1))
    except Exception as error:  # whatever a generator of the caller raises
        raise wrong(name, VERBATIM(text=type(error).__name__)) from error
    if len(values) > MOST_VALUES:
        raise wrong(name, TOO_MANY(most=MOST_VALUES))
    return tuple(each(name, one) for one in values)


def path(name: str, value: object) -> Path:
    """A file or folder that is there."""
    found = _path(name, value)
    try:
        found.stat()
    except (OSError, ValueError) as error:
        raise wrong(name, file_error(found, error)) from None
    return found


def _path(name: str, value: object) -> Path:
    if not isinstance(value, str | os.PathLike):
        raise wrong_type(name, "str | os.PathLike", value)
    try:
        given = os.fsdecode(str.__str__(value) if isinstance(value, str) else os.fspath(value))
        os.fsencode(given)
    except Exception as error:  # whatever __fspath__ of the caller's class raises
        raise wrong(name, VERBATIM(text=type(error).__name__)) from error
    if not given:
        raise wrong(name, EMPTY())
    if len(given) > MOST_PATH:
        raise wrong(name, TOO_LONG(n=len(given), most=MOST_PATH))
    if "\0" in given:
        raise wrong(name, NOT_PLAIN())
    return Path(given)


def message(name: str, value: object) -> Sample:
    """A message: its octets, its text, an `email.message.Message`, or the file that holds it."""
    if isinstance(value, bytes | bytearray | memoryview):
        return _sample(name, bytes(memoryview(value)))
    if isinstance(value, Message):
        try:
            return _sample(name, _as_sent(value))
        except InputError:
            raise
        except Exception as error:  # the standard library cannot write out every message that it can hold
            raise wrong(name, VERBATIM(text=type(error).__name__)) from error
    if isinstance(value, str) and ("\n" in value or "\r" in value):
        try:
            return _sample(name, str.__str__(value).encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:
            raise wrong(name, NOT_PLAIN()) from None
    if not isinstance(value, str | os.PathLike):
        raise wrong_type(name, "bytes | str | os.PathLike | email.message.Message", value)
    file = path(name, value)
    return Sample(str(file), path=file)


def _sample(name: str, octets: bytes) -> Sample:
    if not octets.strip():
        raise wrong(name, EMPTY())
    if len(octets) > MAX_MESSAGE_OCTETS:
        raise InputError(TOO_LARGE(name=name, n=MAX_MESSAGE_OCTETS // 1_000_000))
    return Sample("message", data=octets)


def _as_sent(value: Message) -> bytes:
    """The octets that `smtplib.SMTP.send_message` puts on the wire, but for the dots."""
    sent = copy(value)
    del sent["Bcc"]
    del sent["Resent-Bcc"]
    octets = BytesIO()
    BytesGenerator(octets, policy=value.policy).flatten(sent, linesep=SMTP.linesep)
    return octets.getvalue()


def resolver(name: str, value: object) -> tuple[Resolver | None, tuple[str, ...]]:
    """What answers DNS questions: an object that does, or the addresses of name servers."""
    if value is None:
        return None, ()
    try:
        query = getattr(value, "query", None)
    except Exception:  # whatever a property of the caller's class raises
        query = None
    if query is not None and inspect.iscoroutinefunction(query):
        return value, ()  # type: ignore[return-value]  # its answers are checked one by one
    if query is not None or not isinstance(value, str | list | tuple):
        raise wrong_type(name, "str | list | Resolver (async def query)", value)
    return None, many(name, value, text, str)
