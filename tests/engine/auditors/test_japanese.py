"""Character sets in mail from Japan: samples built octet by octet, as mailers write them."""

from __future__ import annotations

import base64

import pytest

from deliverability.core.facts.base import Value, records_of
from tests.engine.auditors.test_message import audit

HELLO = "こんにちは、山田です。"


def part(text: bytes, charset: str | None) -> bytes:
    declared = f"; charset={charset}" if charset else ""
    return f"MIME-Version: 1.0\nContent-Type: text/plain{declared}\n\n".encode() + text


def word(octets: bytes, charset: str) -> bytes:
    return b"=?" + charset.encode() + b"?B?" + base64.b64encode(octets) + b"?="


def subject(*words: bytes) -> bytes:
    return b"Subject: " + b"\n ".join(words) + b"\n\nx"


async def found(raw: bytes) -> Value:
    parts = (await audit(raw)).value("charset.parts")
    return records_of(parts)[0]["found"]


class TestBody:
    @pytest.mark.parametrize("codec", ["iso2022_jp", "shift_jis", "euc_jp", "utf-8"])
    async def test_text_as_declared_reads_without_loss(self, codec: str) -> None:
        charset = codec.replace("iso2022_jp", "iso-2022-jp")
        raw = part(HELLO.encode(codec), charset)
        assert await found(raw) is None
        facts = await audit(raw)
        assert facts.value("message.defects") == ()
        assert facts.value("charset.body") == (charset,)

    @pytest.mark.parametrize("declared", [None, "us-ascii"])
    @pytest.mark.parametrize(
        ("codec", "charset"),
        [("iso2022_jp", "iso-2022-jp"), ("cp932", "shift_jis"), ("euc_jp", "euc-jp"), ("utf-8", "utf-8")],
    )
    async def test_undeclared_text(self, codec: str, charset: str, declared: str | None) -> None:
        assert await found(part(HELLO.encode(codec), declared)) == charset

    @pytest.mark.parametrize(
        ("codec", "declared", "charset"),
        [
            ("cp932", "iso-2022-jp", "shift_jis"),
            ("cp932", "utf-8", "shift_jis"),
            ("iso2022_jp", "utf-8", "iso-2022-jp"),
        ],
    )
    async def test_text_of_another_charset_than_declared(self, codec: str, declared: str, charset: str) -> None:
        assert await found(part(HELLO.encode(codec), declared)) == charset

    async def test_plain_ascii_needs_no_declaration(self) -> None:
        assert await found(part(b"hello", None)) is None

    async def test_machine_dependent_characters(self) -> None:
        jis = b"\x1b$B" + bytes([0x2D, 0x21, 0x2D, 0x6A]) + b"\x1b(B"  # NEC row 13: circled 1, (kabu)
        facts = await audit(part(HELLO.encode("iso2022_jp") + jis, "ISO-2022-JP"))
        assert facts.value("charset.machine_dependent") == ("①", "㈱")
        assert facts.value("charset.machine_dependent_places") == ("1",)
        plain = await audit(part("～−①㈱".encode(), "utf-8"))
        assert plain.value("charset.machine_dependent") == ()

    async def test_half_width_kana(self) -> None:
        facts = await audit(part(b"\x1b(I123\x1b(B", "iso-2022-jp"))
        assert facts.value("charset.half_width_kana") == ("1",)
        assert (await audit(part("ｱｲｳ".encode(), "utf-8"))).value("charset.half_width_kana") == ()


class TestHeader:
    @pytest.mark.parametrize("codec", ["iso2022_jp", "shift_jis", "utf-8"])
    async def test_words_of_whole_characters(self, codec: str) -> None:
        charset = codec.replace("iso2022_jp", "ISO-2022-JP")
        words = (word(HELLO[:5].encode(codec), charset), word(HELLO[5:].encode(codec), charset))
        facts = await audit(subject(*words))
        assert facts.value("message.subject") == HELLO
        assert facts.value("charset.split_characters") == ()
        assert facts.value("charset.lossy_headers") == ()
        assert facts.value("charset.header") == (charset.lower(),)

    @pytest.mark.parametrize("codec", ["iso2022_jp", "shift_jis", "utf-8"])
    async def test_a_character_cut_between_two_words(self, codec: str) -> None:
        charset = codec.replace("iso2022_jp", "ISO-2022-JP")
        octets = HELLO.encode(codec)
        facts = await audit(subject(word(octets[:7], charset), word(octets[7:], charset)))
        assert facts.value("message.subject") == HELLO
        assert facts.value("charset.split_characters") == ("Subject",)

    async def test_shift_jis_under_another_name_is_lost(self) -> None:
        facts = await audit(subject(word(HELLO.encode("shift_jis"), "utf-8")))
        assert facts.value("charset.lossy_headers") == ("Subject",)
        unknown = await audit(subject(word(b"abc", "x-none")))
        assert unknown.value("charset.lossy_headers") == ("Subject",)

    async def test_length_of_words_and_of_their_lines(self) -> None:
        encoded = word(b"a" * 60, "utf-8")
        facts = await audit(b"X: short\n" + subject(encoded))
        assert facts.value("charset.longest_word_octets") == len(encoded)
        assert facts.value("charset.longest_word_line_octets") == len(b"Subject: ") + len(encoded)
        assert (await audit(b"Subject: x\n\nx")).value("charset.longest_word_octets") == 0

    async def test_header_and_body_in_different_charsets(self) -> None:
        encoded = b"Subject: " + word("あ".encode(), "utf-8") + b"\n"
        facts = await audit(encoded + part("あ".encode("iso2022_jp"), "iso-2022-jp"))
        assert facts.value("charset.header_differs") is True
        same = await audit(encoded + part("あ".encode(), "UTF8"))
        assert same.value("charset.header_differs") is False

    async def test_the_place_of_machine_dependent_characters_in_the_subject(self) -> None:
        facts = await audit(subject(word(b"\x1b$B\x2d\x21\x1b(B", "iso-2022-jp")))
        assert facts.value("charset.machine_dependent") == ("①",)
        assert facts.value("charset.machine_dependent_places") == ("Subject",)


class TestDisplayName:
    @pytest.mark.parametrize(
        ("sender", "to", "shown"),
        [
            ("Yamada Taro <news@example.com>", "Yamada Taro <taro@a.example>", "Yamada Taro"),
            ('"taro@a.example" <news@example.com>', "taro@a.example", "taro@a.example"),
            ("Annual report <news@example.com>", "Annual <a@a.example>", "Annual"),
            ("Annual report <news@example.com>", "Ann <a@a.example>", None),
            ("Taro <taro@a.example>", "Taro <taro@a.example>", None),
            # A test mail to an own address elsewhere; an answer within the company.
            ("Taro Yamada <taro@a.example>", "Taro Yamada <taro.yamada@b.example>", None),
            ("山田 太郎 <taro@a.example>", "山田 太郎 <taro.yamada@b.example>", None),
            ("Taro Yamada <info@yamada.example>", "Taro Yamada <ty@b.example>", None),
            ("Yamada Taro <news@mail.example.jp>", "Yamada Taro <taro@example.jp>", None),
            # The name alone may be borrowed from the recipient.
            ("Taro Yamada <info@a.example>", "Taro Yamada <taro.yamada@b.example>", "Taro Yamada"),
        ],
    )
    async def test_the_recipient_in_it(self, sender: str, to: str, shown: str | None) -> None:
        facts = await audit(f"From: {sender}\nTo: {to}\n\nx".encode())
        assert facts.value("message.display_name_recipient") == shown

    async def test_badges_in_it(self) -> None:
        facts = await audit(b"From: " + word("Example ✔🔔".encode(), "utf-8") + b" <a@example.com>\n\nx")
        assert facts.value("message.display_name_symbols") == ("✔", "🔔")
