"""Large messages: nothing is held twice, decoding goes piece by piece, and twice the size is twice the work."""

from __future__ import annotations

import base64
import gc
import io
import random
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deliverability.core.inputs import Sample, Subject
from deliverability.core.mail.reader import read
from deliverability.core.mail.transfer import Body
from deliverability.core.mail.words import check_octets, decode_base64, decode_octets, decode_pieces
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import StaticResolver
from deliverability.core.protocols.dkim.canonical import hash_body
from deliverability.core.rules.knowledge import shipped
from deliverability.engine.auditors import format as form
from deliverability.engine.auditors import message as identity
from deliverability.engine.auditors.unsubscribe import near_links
from deliverability.engine.base import gather
from deliverability.slim.message import slim
from tests.sampled import sampled
from tests.shapes import SHAPES

pytestmark = pytest.mark.long

SIZE = 6_000_000
HEAD = b"From: a@example.com\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
FILE = b'Content-Type: application/octet-stream; name="x.bin"\r\nContent-Transfer-Encoding: base64\r\n\r\n'


def with_attachment(octets: bytes) -> bytes:
    return HEAD + FILE + base64.encodebytes(octets).replace(b"\n", b"\r\n") + b"--b--\r\n"


def of_text(charset: bytes, encoding: bytes) -> bytes:
    line = b"word" + b" " * 60 + b"word  \r\n"
    head = b"From: a@example.com\r\nContent-Type: text/plain; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n"
    return head % (charset, encoding) + line * (SIZE // len(line))


MESSAGES = {
    "attachment": with_attachment(random.Random(1).randbytes(SIZE * 3 // 4)),
    "text": of_text(b"utf-8", b"8bit"),
    "quoted-printable": of_text(b"us-ascii", b"quoted-printable"),
    "text saved with LF": of_text(b"shift_jis", b"7bit").replace(b"\r\n", b"\n"),
}


def peak(work: Callable[[], object]) -> int:
    """Octets that `work` holds at most above what was held before."""
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", MESSAGES)
class TestMemory:
    """A tenth of the message is more than what pieces and their bookkeeping may take."""

    def test_reading(self, name: str) -> None:
        raw = MESSAGES[name]
        assert peak(lambda: read(raw)) < len(raw) / 10

    def test_measuring_and_looking_at_the_beginning(self, name: str) -> None:
        message = read(MESSAGES[name])
        part = list(message.parts())[-1]
        assert peak(part.measure) < len(message.raw) / 10
        assert peak(lambda: part.head(1000)) < len(message.raw) / 10
        assert peak(lambda: sum(map(len, part.pieces()))) < len(message.raw) / 10

    def test_hashing_the_body(self, name: str) -> None:
        raw = MESSAGES[name]
        assert peak(lambda: hash_body(raw, 0, "relaxed", "sha256")) < len(raw) / 10

    async def test_stating_the_facts_of_form(self, name: str) -> None:
        raw = MESSAGES[name]
        message = read(raw)
        subject = Subject("example.com", sample=Sample("", data=raw))
        knowledge = shipped()
        gc.collect()
        tracemalloc.start()
        try:
            now = datetime(2026, 11, 24, tzinfo=UTC)
            gathered = await gather(
                (identity.audit, form.audit, form.japanese_audit),
                subject,
                Ports(StaticResolver({}), FixedClock(now)),
                message,
                knowledge=knowledge,
            )
            highest = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert gathered.crashes == ()
        assert gathered.facts.value("message.size_octets") is not None
        assert highest < len(raw) / 10

    def test_saying_what_a_message_is_does_not_write_out_its_octets(self, name: str) -> None:
        """asyncio writes out what tasks return when it handles signals; that once cost four copies."""
        raw = MESSAGES[name]
        message = read(raw)
        assert peak(lambda: repr(message)) < len(raw) / 10
        sample = Sample("a.eml", data=raw)
        assert peak(lambda: repr(Subject("example.com", sample)) + repr(sample)) < len(raw) / 10


@pytest.mark.parametrize("name", [name for name in MESSAGES if name != "attachment"])
def test_looking_for_links_in_text_holds_some_pieces(name: str) -> None:
    part = read(MESSAGES[name]).root
    assert peak(lambda: list(near_links(part.text_pieces()))) < SIZE / 10


def test_decoding_holds_the_decoded_octets_and_little_else() -> None:
    raw = MESSAGES["attachment"]
    part = list(read(raw).parts())[-1]
    octets = part.measure()[0]
    assert peak(part.decode) < 1.4 * octets


ENCODED = st.one_of(
    st.binary(max_size=300).map(base64.encodebytes),
    st.binary(max_size=100),
    st.text(alphabet="AB=\r\n \t!", max_size=100).map(str.encode),
)
ENCODINGS = ("base64", "quoted-printable", "7bit", "x-uuencode")


class TestPieces:
    @given(ENCODED)
    def test_base64_is_read_as_in_one_go(self, body: bytes) -> None:
        problems: set[str] = set()
        octets, good = decode_base64(body)
        assert Body(body, 0, len(body), "base64").decode(problems) == octets
        assert problems == (set() if good else {"bad-base64"})

    def test_white_space_at_the_end_of_a_body_goes_as_at_the_end_of_a_line(self) -> None:
        for body in (b"a \t", b"a\t\nb \t", b"a\nb "):
            assert not Body(body, 0, len(body), "quoted-printable").decode().endswith((b" ", b"\t"))

    @example(b"\t\n\t", "quoted-printable", 1)
    @example(b"\r\r\n", "7bit", 1)
    @given(ENCODED, st.sampled_from(ENCODINGS), st.integers(1, 40))
    def test_the_size_of_the_pieces_makes_no_difference(self, body: bytes, encoding: str, size: int) -> None:
        whole_problems: set[str] = set()
        piece_problems: set[str] = set()
        part = Body(b"xx" + body + b"yy", 2, 2 + len(body), encoding)
        whole = part.decode(whole_problems)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("deliverability.core.mail.transfer._PIECE", size)
            assert part.decode(piece_problems) == whole
            assert part.measure() == (len(whole), tuple(whole_problems))
        assert piece_problems == whole_problems

    @given(
        ENCODED, st.sampled_from(ENCODINGS), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 90)), max_size=8)
    )
    def test_a_body_is_a_file_to_read_at_any_place(
        self, body: bytes, encoding: str, reads: list[tuple[int, int]]
    ) -> None:
        part = Body(body, 0, len(body), encoding)
        whole = io.BytesIO(part.decode())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("deliverability.core.mail.transfer._PIECE", 7)
            file = io.BufferedReader(part.open(), 16)
            for place, count in reads:
                assert file.seek(place) == whole.seek(place)
                assert file.read(count) == whole.read(count)
            assert file.seek(0, io.SEEK_END) == whole.seek(0, io.SEEK_END)

    def test_an_archive_is_listed_without_a_decoded_copy(self) -> None:
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w") as archive:
            archive.writestr("big.bin", random.Random(2).randbytes(SIZE // 2))
            archive.writestr("note.txt", b"hello")
        part = list(read(with_attachment(written.getvalue())).parts())[-1]

        def listed() -> None:
            with zipfile.ZipFile(io.BufferedReader(part.open())) as archive:
                assert archive.namelist() == ["big.bin", "note.txt"]
                assert archive.read("note.txt") == b"hello"

        assert peak(listed) < SIZE / 10

    @given(
        st.one_of(st.binary(max_size=60), st.text(max_size=40).map(str.encode)),
        st.sampled_from(
            ["utf-8", "us-ascii", "shift_jis", "iso-2022-jp", "utf-16", "utf-7", "big5", "nonsense", "zlib"]
        ),
        st.integers(1, 9),
    )
    def test_a_charset_is_checked_in_pieces_as_in_one_go(self, octets: bytes, charset: str, size: int) -> None:
        whole = decode_octets(octets, charset)
        pieces = [octets[at : at + size] for at in range(0, len(octets), size)]
        assert check_octets(pieces, charset) == (whole.known, whole.clean)
        assert "".join(decode_pieces(lambda: pieces, charset)) == whole.text
        assert "".join(decode_pieces(lambda: pieces, None)) == decode_octets(octets, None).text


def steps(work: Callable[[], object]) -> int:
    """Lines of Python executed by `work`, but for what is loaded and compiled once."""
    work()
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("name", sampled([*SHAPES], 8))
def test_twice_the_size_is_at_most_twice_the_steps(name: str) -> None:
    once, twice = SHAPES[name](300), SHAPES[name](600)
    assert steps(lambda: read(twice)) <= 2.3 * steps(lambda: read(once))
    assert steps(lambda: slim(twice)) <= 2.3 * steps(lambda: slim(once))
