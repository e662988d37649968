"""`deliv list-check`: each entry in one segment, sums only on the screen, the list as it was."""

from __future__ import annotations

import csv
import json
import stat
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from tests.console.test_cli import Deliv, deliv, one_line_saying

__all__ = ["deliv"]

ENTRIES = {
    "good@mails.example": "good",
    "no address": "syntax",
    "GOOD@mails.example": "duplicate",
    "info@mails.example": "role",
    "a@mailinator.com": "disposable",
    "a@gmial.com": "typo",
    "a@nothing.mails.example": "takes-no-mail",
    "a@nullmx.example": "takes-no-mail",
    "unconfirmed@mails.example": "unconfirmed",
    "asleep@mails.example": "inactive",
    "off@mails.example": "suppressed",
}
SEGMENTS = {*ENTRIES.values()}
WITH = ("--zone", "zone", "--suppressed", "off.csv", "--inactive", "365")


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    """A list with an entry for each segment, what is suppressed, and a DNS in which every domain answers."""
    rows = [
        f"{address},{'' if 'unconfirmed' in address else 'yes'},{'2020-01-01' if 'asleep' in address else '2099-01-01'}"
        for address in ENTRIES
    ]
    (tmp_path / "list.csv").write_text("\n".join(["email,confirmed,last_open", *rows]) + "\n", "utf-8")
    (tmp_path / "off.csv").write_text("address,reason\noff@mails.example,address\n", "utf-8")
    (tmp_path / "zone").mkdir()
    names = {
        "mails.example": "MX 10 mx",
        "nullmx.example": "MX 0 .",
        "mailinator.com": "MX 10 mx",
        "gmial.com": "TXT x",
    }
    for name, record in names.items():
        text = f"$ORIGIN {name}.\n@ 3600 IN SOA ns. host. 1 1 1 1 1\n@ IN {record}\n"
        (tmp_path / "zone" / f"{name}.zone").write_text(text, "utf-8")


@pytest.mark.parametrize(("lang", "says"), [("en", "one.csv: 1 entry\n"), ("ja", "one.csv：1件\n")])
def test_one_entry_is_one(deliv: Deliv, lang: str, says: str) -> None:
    Path("one.csv").write_text("email\na@mails.example\n", "utf-8")
    assert deliv("list-check", "one.csv", "--zone", "zone", "--lang", lang).out.startswith(says)


def test_each_entry_is_in_the_segment_that_fits_and_the_list_stays(deliv: Deliv) -> None:
    before = Path("list.csv").read_bytes()
    done = deliv("list-check", "list.csv", *WITH, "-o", "segments")
    assert (done.code, Path("list.csv").read_bytes()) == (1, before), done.err
    assert {path.stem for path in Path("segments").iterdir()} == SEGMENTS | {"sums"}
    found = {}
    for segment in SEGMENTS:
        path = Path("segments", f"{segment}.csv")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for row in csv.DictReader(path.read_text("utf-8").splitlines()):
            found[row["email"]] = segment
            assert row.get("suggestion") == ("gmail.com" if segment == "typo" else None)
    assert found == ENTRIES
    assert "@mails" not in done.out + done.err


def test_sums_for_programs_are_the_same_as_in_the_folder(deliv: Deliv) -> None:
    done = deliv("list-check", "list.csv", *WITH, "-o", "segments", "--format", "json")
    sums = json.loads(done.out)
    counted = Counter(ENTRIES.values())
    assert {name: n for name, n in sums["segments"].items() if n} == counted
    assert (sums["list"], sums["entries"], sums["domains"], sums["not_checked"]) == ("list.csv", len(ENTRIES), 5, 0)
    assert json.loads(Path("segments/sums.json").read_text("utf-8")) == sums
    assert "mails.example" not in done.out


def test_each_domain_is_asked_about_once_and_no_answer_is_not_checked(deliv: Deliv) -> None:
    done = deliv("list-check", "list.csv", "--offline", "--format", "json")
    sums = json.loads(done.out)
    assert done.code == 3
    assert sums["segments"]["takes-no-mail"] == 0
    # Those that an earlier segment takes need no answer.
    assert (sums["domains_not_checked"], sums["not_checked"]) == (5, 6)
    assert (sums["segments"]["not-checked"], sums["segments"]["good"]) == (5, 0), "what nobody looked at is not good"
    assert "Domains were not checked because" in deliv("list-check", "list.csv", "--offline").out


def test_all_good_is_0_and_in_japanese(deliv: Deliv) -> None:
    Path("list.csv").write_text("メールアドレス\na@mails.example\n", "utf-8")
    done = deliv("list-check", "list.csv", "--zone", "zone", "--lang", "ja")
    assert done.code == 0, done.err
    assert done.out.startswith("list.csv：1件\n  1  問題なし\n")


def test_segments_that_are_there_stay_unless_it_is_said_and_the_list_always(deliv: Deliv) -> None:
    assert deliv("list-check", "list.csv", *WITH, "-o", "segments").code == 1
    one_line_saying(deliv("list-check", "list.csv", *WITH, "-o", "segments"), "segments/good.csv")
    Path("list.csv").write_text("email\ninfo@mails.example\n", "utf-8")
    assert deliv("list-check", "list.csv", *WITH, "-o", "segments", "--force").code == 1
    assert {path.name for path in Path("segments").iterdir()} == {"role.csv", "sums.json"}
    Path("good.csv").write_text("email\na@mails.example\n", "utf-8")
    one_line_saying(deliv("list-check", "good.csv", "-o", ".", "--force"), "good.csv")
    assert Path("good.csv").read_text("utf-8") == "email\na@mails.example\n"


def test_segments_are_in_the_charset_of_the_list(deliv: Deliv) -> None:
    text = "氏名;メールアドレス\n髙橋;a@mails.example\n"
    Path("list.csv").write_bytes(text.encode("cp932"))
    assert deliv("list-check", "list.csv", "--zone", "zone", "-o", "segments").code == 0
    assert Path("segments/good.csv").read_bytes().decode("cp932").split() == text.split()


def test_what_deliv_suppress_writes_for_services_is_understood(deliv: Deliv) -> None:
    Path("off.csv").write_text("off@mails.example,BOUNCE\n'+plus@mails.example,BOUNCE\n", "utf-8")
    Path("list.csv").write_text("email\noff@mails.example\n+plus@mails.example\n", "utf-8")
    done = deliv("list-check", "list.csv", *WITH, "--format", "json")
    assert json.loads(done.out)["segments"]["suppressed"] == 2


def test_wrong_input(deliv: Deliv) -> None:
    one_line_saying(deliv("list-check", "none.csv"), "none.csv")
    one_line_saying(deliv("list-check", "list.csv", "--column", "adress"), "adress", "email")
    one_line_saying(deliv("list-check", "zone"), "zone")
    one_line_saying(deliv("list-check", "list.csv", "--inactive", "0"), "0")


def test_its_result_named_in_the_settings_is_evidence_for_the_guide(deliv: Deliv) -> None:
    def states(list_check: str) -> dict[str, tuple[str, str]]:
        Path("deliv.toml").write_text(f'[[domain]]\nname = "mails.example"\n{list_check}', "utf-8")
        done = deliv("audit", "mails.example", "--zone", "zone", "--purpose", "bulk", "--format", "json")
        guide = json.loads(done.out)["answer"]["guide"]
        return {each["key"]: (each["state"], each["because"]) for each in guide}

    assert states("")["G14"] == ("not-known", "waits")
    Path("sums.json").write_text(deliv("list-check", "list.csv", *WITH, "--format", "json").out, "utf-8")
    assert states('list_check = "sums.json"\n')["G14"] == ("to-do", "unmet")
    Path("list.csv").write_text("email,confirmed\ngood@mails.example,yes\n", "utf-8")
    Path("sums.json").write_text(deliv("list-check", "list.csv", *WITH, "--format", "json").out, "utf-8")
    # What bounces is still to be known: that needs an intake.
    assert states('list_check = "sums.json"\n')["G14"] == ("not-known", "waits")
    Path("deliv.toml").write_text('[[domain]]\nname = "mails.example"\nlist_check = "none.json"\n', "utf-8")
    one_line_saying(deliv("audit", "mails.example", "--zone", "zone"), "none.json")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("taro＠mails.example", "taro@mails.example"),
        ("taro１２@mails.example", "taro12@mails.example"),
        ("ｔａｒｏ＠ｍａｉｌｓ．ｅｘａｍｐｌｅ", "taro@mails.example"),
        ("taro@mails。example", "taro@mails.example"),
    ],
)
def test_full_width_characters_get_a_suggestion(deliv: Deliv, typed: str, meant: str) -> None:
    """With heads and without, in the first line as well."""
    for heads in ("email\n", ""):
        Path("wide.csv").write_text(f"{heads}{typed}\n", "utf-8")
        done = deliv("list-check", "wide.csv", "--zone", "zone", "-o", "wide", "--force")
        assert done.code == 1, done.err
        rows = list(csv.reader(Path("wide/typo.csv").read_text("utf-8").splitlines()))
        assert rows[-1] == [typed, meant]


@pytest.mark.parametrize("head", ["同意日", "承諾日", "同意日時", "受信承諾日", "オプトイン日"])
def test_a_column_of_consent_counts_as_confirmation(deliv: Deliv, head: str) -> None:
    Path("list.csv").write_text(f"email,{head}\na@mails.example,2026/01/05\nb@mails.example,\n", "utf-8")
    done = deliv("list-check", "list.csv", "--zone", "zone", "--format", "json")
    segments = json.loads(done.out)["segments"]
    assert (segments["good"], segments["unconfirmed"]) == (1, 1)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_a_workbook_is_refused_by_name(deliv: Deliv, lang: str) -> None:
    with zipfile.ZipFile("list.xlsx", "w") as book:
        book.writestr("[Content_Types].xml", "<Types/>")
        book.writestr("xl/workbook.xml", "<workbook/>")
    Path("list.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    for name, kind in (("list.xlsx", ".xlsx"), ("list.xls", ".xls")):
        done = deliv("list-check", name, "--lang", lang)
        assert done.code == 2
        assert kind in done.err
        assert "CSV" in done.err
