"""Forms of an address list: what is legal but rare, what is wrong, and what only looks like it."""

from __future__ import annotations

import pytest

from deliverability.core.mail.addresses import unusual_forms


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("Shop orders@acme.dk", "from-bare"),
        ("Shop <orders@acme.dk", "from-brackets"),
        ('"Shop <orders@acme.dk>', "from-open"),
        ("Shop <mailto:orders@acme.dk>", "from-mark"),
        ("orders@acme.dk;", "from-mark"),
        ("<@acme.dk>", "from-local"),
        ("Shop, Orders <orders@acme.dk>", "from-comma"),
        ("<or..ders@acme.dk>", "from-dots"),
    ],
)
def test_what_is_wrong_is_told_in_its_own_words(value: str, code: str) -> None:
    assert [each.code for each in unusual_forms(value)[1]] == [code]


@pytest.mark.parametrize(
    "value",
    [
        "\x1b$B;3ED(<B\x1b(B <a@acme.dk>",  # raw ISO-2022-JP, with a parenthesis and a bracket as halves of characters
        '"A: B; <C> (D, E" <a@acme.dk>',
        "A <a@[IPv6:2a01::1]>, b@acme.dk",
        "Acme Inc. Support 2.0 <first.last@acme.dk>",
    ],
)
def test_marks_inside_quotes_and_characters_are_none(value: str) -> None:
    assert unusual_forms(value) == ((), ())


def test_a_route_of_several_hosts_is_one_fault() -> None:
    assert [each.code for each in unusual_forms("A <@r.dk,@s.dk,@t.dk:a@acme.dk>")[1]] == ["from-route"]
