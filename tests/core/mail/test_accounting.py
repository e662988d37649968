"""What readers of HTML see of it."""

from __future__ import annotations

import pytest

from deliverability.core.mail.html.accounting import HtmlAccount


@pytest.mark.parametrize(
    ("html", "seen"),
    [
        # MJML sets zero on every cell and the size of the text within.
        ('<td style="font-size:0px;padding:0"><div style="font-size:14px">Hello</div></td>', "Hello"),
        ('<td style="font-size:0"><div style="font:14px/1.5 Arial">Hello</div></td>', "Hello"),
        ('<td style="font-size:0px"><div style="font-size:1em">Hello</div></td>', ""),
        ('<td style="font-size:0px">Hello</td>', ""),
        ('<td style="font-size:0px"><p style="font-size:14px">A</p>B</td>', "A"),
        ('<div style="display:none"><p style="font-size:14px">Hello</p></div>', ""),
        ("one<br>two", "one two"),
    ],
)
def test_a_size_of_zero_ends_where_an_element_has_a_size_of_its_own(html: str, seen: str) -> None:
    account = HtmlAccount()
    account.add(html)
    assert " ".join("".join(account.text).split()) == seen
