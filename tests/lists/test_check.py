"""Addresses of lists: what one is, roles, disposable domains, typing errors, confirmations and dates."""

from __future__ import annotations

from datetime import date
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliverability.lists.catalogue import ListData, ListDataError, load_list_data
from deliverability.lists.run import Addresses, is_confirmed, is_inactive, last_active, one_edit_apart
from tests import ROOT


@cache
def data() -> ListData:
    return load_list_data([ROOT / "rules"])


@cache
def addresses() -> Addresses:
    return Addresses(data())


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("a@example.org", "a@example.org"),
        ("A.B+c@Example.ORG", "a.b+c@example.org"),
        ("o'neil@example.org", "o'neil@example.org"),
        ("日本@例え.jp", "日本@xn--r8jz45g.jp"),
        # Carriers of Japan gave such addresses away for years; they are in use.
        ("a..b.@docomo.ne.jp", "a..b.@docomo.ne.jp"),
        ("-a.@ezweb.ne.jp", "-a.@ezweb.ne.jp"),
    ],
)
def test_an_address(text: str, address: str) -> None:
    found = addresses().read(text)
    assert found is not None
    assert found.address == address


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "@",
            "a@",
            "@example.org",
            "a",
            "a b@example.org",
            "a..b@example.org",
            ".a@example.org",
            "a.@example.org",
        ),
        *("a@b@example.org", "a@localhost", "a@example..org", "a@-example.org", "a@192.0.2.1", "a@[192.0.2.1]"),
        *("a@example.org,b@example.org", "A <a@example.org>", "a@example.org;", "ａ＠example.org", "a@exa mple.org"),
        *("x" * 65 + "@example.org", "a@" + "x" * 64 + ".org", "a" * 100_000 + "@example.org", "a\x00@example.org"),
    ],
)
def test_what_is_no_address(text: str) -> None:
    assert addresses().read(text) is None


@given(st.text(max_size=80))
def test_any_text_is_read_without_an_error(text: str) -> None:
    found = addresses().read(text)
    assert found is None or "@" in found.address


@pytest.mark.parametrize(
    ("text", "role"),
    [
        *(("info@example.org", True), ("Support@example.org", True), ("postmaster+x@example.org", True)),
        *(("soumu@example.co.jp", True), ("information@example.org", False), ("info.tanaka@example.org", False)),
    ],
)
def test_roles(text: str, role: bool) -> None:
    found = addresses().read(text)
    assert found is not None
    assert addresses().is_role(found) is role


@pytest.mark.parametrize(
    ("domain", "disposable"),
    [
        *(
            ("mailinator.com", True),
            ("x.y.mailinator.com", True),
            ("mailinator.com.example.org", False),
            ("gmail.com", False),
        ),
        # In such lists, too, and for whoever signed up a typing error.
        ("gmial.com", False),
    ],
)
def test_disposable_domains(domain: str, disposable: bool) -> None:
    found = addresses().read(f"a@{domain}")
    assert found is not None
    assert addresses().is_disposable(found) is disposable


@pytest.mark.parametrize(
    ("domain", "meant"),
    [
        *(("gmial.com", "gmail.com"), ("gmail.co", "gmail.com"), ("gmail.con", "gmail.com")),
        *(("gmaill.com", "gmail.com"), ("hotmial.com", "hotmail.com"), ("ezwe.ne.jp", "ezweb.ne.jp")),
        *(("yahoo.co.j", "yahoo.co.jp"), ("yhoo.co.jp", "yahoo.co.jp"), ("docomo.co.jp", "docomo.ne.jp")),
        *(("softbank.ne.jp", ""), ("softbank.co.jp", ""), ("i.softbank.jp", ""), ("yahoo.co.uk", "")),
        *(("gmail.com", ""), ("mail.com", ""), ("ymail.com", ""), ("cloud.com", ""), ("outlook.de", "")),
        *(("yahoo.ne.jp", ""), ("example.org", ""), ("live.com", ""), ("gmx.com", "")),
    ],
)
def test_typing_errors_and_real_neighbours(domain: str, meant: str) -> None:
    found = addresses().read(f"a@{domain}")
    assert (addresses().typo_of(found) if found else "") == meant


def test_no_well_known_domain_is_taken_for_another_or_for_disposable() -> None:
    for domain in (*data().well_known, *data().not_typos, *data().typos.values()):
        found = addresses().read(f"a@{domain}")
        assert found is not None, domain
        assert not addresses().typo_of(found), domain
        assert not addresses().is_disposable(found), domain


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        *(
            ("abc", "abc", False),
            ("abc", "abcd", True),
            ("abc", "ab", True),
            ("abc", "axc", True),
            ("abc", "bac", True),
        ),
        *(("abc", "acb", True), ("abc", "cba", False), ("abc", "abcde", False), ("abc", "xabc", True), ("", "a", True)),
        *(("abcd", "abdx", False), ("abcd", "badc", False)),
    ],
)
def test_one_edit(one: str, other: str, apart: bool) -> None:
    assert one_edit_apart(one, other) is apart
    assert one_edit_apart(other, one) is apart


@pytest.mark.parametrize(
    ("cells", "confirmed"),
    [
        *((["2026-01-01"], True), (["yes"], True), (["1"], True), (["済"], True), (["", "2026-01-01"], True)),
        *(([""], False), (["0"], False), (["No"], False), (["未"], False), (["いいえ"], False), ([], False)),
    ],
)
def test_confirmations(cells: list[str], confirmed: bool) -> None:
    assert is_confirmed(cells, data().no) is confirmed


@pytest.mark.parametrize(
    ("cells", "last"),
    [
        (["2026-11-25T10:00:00Z"], date(2026, 11, 25)),
        (["2026/1/5 9:00"], date(2026, 1, 5)),
        (["2026年11月25日"], date(2026, 11, 25)),
        (["1764028800"], date(2025, 11, 25)),
        (["2026-01-01", "2026-02-01", ""], date(2026, 2, 1)),
        (["11/25/2026"], None),
        (["2026-13-40"], None),
        ([""], None),
        ([], None),
    ],
)
def test_the_last_activity(cells: list[str], last: date | None) -> None:
    assert last_active(cells) == last


def test_inactive_begins_on_that_day() -> None:
    assert is_inactive(date(2026, 1, 1), date(2026, 1, 31), 30)
    assert not is_inactive(date(2026, 1, 2), date(2026, 1, 31), 30)


def test_a_folder_of_ones_own_adds_names_and_its_errors_have_a_line(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    own = tmp_path / "lists" / "own.yaml"
    own.write_text("kind: roles\nsources: []\nnames: [[reception]]\n", "utf-8")
    both = load_list_data([ROOT / "rules", tmp_path])
    assert {"reception", "info"} <= both.roles
    own.write_text("kind: roles\nsources: []\nnames: reception\n", "utf-8")
    with pytest.raises(ListDataError, match=r"own\.yaml:.*names"):
        load_list_data([tmp_path])
