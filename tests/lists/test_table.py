"""Lists as they are exported: charsets, separators, heads, and what is no list."""

from __future__ import annotations

from pathlib import Path

import pytest

from deliverability.core.errors import InputError
from deliverability.lists.table import ListTable, folded_head, open_list
from tests.lists.test_check import data

TEXT = (
    "氏名,メールアドレス,登録確認日,最終開封日\n山田 太郎,a@example.org,2026-01-01,2026-11-01\n髙橋～,b@example.org,,\n"
)


def table(path: Path, octets: bytes, column: str | None = None) -> ListTable:
    file = path / "list.csv"
    file.write_bytes(octets)
    return open_list(file, data(), column)


@pytest.mark.parametrize(
    ("charset", "found"),
    [
        *(("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("cp932", "cp932"), ("utf-16", "utf-16")),
        ("iso2022_jp_ext", "iso2022_jp_ext"),
    ],
)
def test_charsets(tmp_path: Path, charset: str, found: str) -> None:
    text = TEXT if charset != "iso2022_jp_ext" else TEXT.replace("髙橋～", "高橋")
    read = table(tmp_path, text.encode(charset))
    assert read.charset == found
    assert read.heads == ("氏名", "メールアドレス", "登録確認日", "最終開封日")
    assert (read.address, read.confirmed, read.active) == (1, (2,), (3,))
    assert [row[0] for row in read.rows()] == [line.partition(",")[0] for line in text.splitlines()[1:]]


def test_a_charset_that_shows_only_at_the_end_of_a_long_list(tmp_path: Path) -> None:
    lines = "email,name\n" + "a@example.org,A\n" * 150_000
    assert table(tmp_path, lines.encode() + "b@example.org,山田\n".encode("cp932")).charset == "cp932"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators(tmp_path: Path, separator: str) -> None:
    text = f'"name; first, last"{separator}email\r\n"x, y;\tz"{separator}a@example.org\r\n'
    read = table(tmp_path, text.encode())
    assert (read.separator, read.address) == (separator, 1)
    assert list(read.rows()) == [["x, y;\tz", "a@example.org"]]


@pytest.mark.parametrize(
    ("text", "address", "entries"),
    [
        ("a@example.org\nb@example.org\n", 0, 2),
        ("A,a@example.org\n\n , \nB,b@example.org", 1, 2),
        ("email\na@example.org", 0, 1),
        ("\ufeffE-Mail;x\na@example.org;1\n", 0, 1),
        ("mail,id\nno address,a@example.org\n", 0, 1),
        ("id,Email Address,Name\n1,a@example.org,x", 1, 1),
        ("id,strange\n1,a@example.org\n", 1, 1),
    ],
)
def test_which_column_holds_the_addresses(tmp_path: Path, text: str, address: int, entries: int) -> None:
    read = table(tmp_path, text.encode())
    assert (read.address, len(list(read.rows()))) == (address, entries)


def test_a_column_that_the_user_names(tmp_path: Path) -> None:
    octets = b"first mail,second-mail\na@example.org,b@example.org\n"
    assert table(tmp_path, octets, "Second Mail").address == 1
    assert table(tmp_path, octets, "2").address == 1
    with pytest.raises(InputError, match=r"no column third.*first mail"):
        table(tmp_path, octets, "third")
    with pytest.raises(InputError, match="no column 3"):
        table(tmp_path, octets, "3")


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"name,age\nA,7\n", "--column"),
        (b'email\n"a@example.org\n' + b"x" * 200_000, "CSV"),
        (b"email\n" + b"a@example.org," * 100_000, "1,000,000 characters"),
    ],
)
def test_what_is_no_list(tmp_path: Path, octets: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(table(tmp_path, octets).rows())


def test_octets_of_no_charset_and_nuls_are_read_all_the_same(tmp_path: Path) -> None:
    read = table(tmp_path, b"email\n\xff\xfe\x81@example.org\n\x00a@example.org\nb@example.org\n")
    assert len(list(read.rows())) == 3


def test_heads_are_compared_without_spaces_signs_and_width() -> None:
    assert folded_head("Ｅ－Ｍａｉｌ Address") == folded_head("e_mail-address") == "emailaddress"
