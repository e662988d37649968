"""Which lines of a plain text are looked at for what stands beside a link."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliverability.engine.auditors.unsubscribe import LINES_NEAR, LONGEST_LINE, near_links

LINK = "https://example.com/"


def near(text: str, size: int = 7) -> list[str]:
    """The stretches of a text that comes in pieces of that many characters."""
    return list(near_links(text[at : at + size] for at in range(0, len(text), size)))


@pytest.mark.parametrize(
    ("text", "stretches"),
    [
        pytest.param("", [], id="empty"),
        pytest.param("one\ntwo\nthree\n", [], id="no link"),
        pytest.param(LINK, [LINK], id="nothing but a link"),
        pytest.param(f"1\n2\n3\n{LINK}\n4\n5\n6\n", [f"2\n3\n{LINK}\n4\n5\n"], id="two lines on either side"),
        pytest.param(f"1\r\n2\r\n{LINK}\r\n3\r\n", [f"1\n2\n{LINK}\n3\n"], id="CRLF is one line end"),
        pytest.param(f"1\u20282\x0b{LINK}\r3\n4\n5", [f"1\n2\n{LINK}\n3\n4\n"], id="other line ends"),
        pytest.param("a\nMAILTO:a@example.com\n", ["a\nMAILTO:a@example.com\n"], id="a mail address, in capitals"),
        pytest.param("a\nftp://example.com and 12:30\n", [], id="other colons"),
        pytest.param(
            f"{LINK}\n1\n2\n3\n4\n5\n6\n{LINK}\n", [f"{LINK}\n1\n2\n", f"5\n6\n{LINK}\n"], id="two links far apart"
        ),
    ],
)
def test_stretches(text: str, stretches: list[str]) -> None:
    assert near(text, size=len(text) or 1) == stretches


@given(
    st.lists(st.sampled_from(["\n", "\r\n", "\r", "\x85", "a", "word ", LINK, "mailto:", "http:"]), max_size=60),
    st.integers(1, 40),
)
def test_every_line_near_a_link_is_there_whatever_the_pieces(parts: list[str], size: int) -> None:
    lines = "".join(parts).splitlines()
    links = [number for number, line in enumerate(lines) if "http" in line or "mailto:" in line]
    wanted = [
        line for number, line in enumerate(lines) if any(abs(number - link) <= LINES_NEAR for link in links) and line
    ]
    found = [line for stretch in near("".join(parts), size) for line in stretch.split("\n") if line]
    assert set(found) == set(wanted)


def test_a_line_without_end_is_cut() -> None:
    def pieces() -> Iterator[str]:
        yield LINK
        yield from ("x" * 1000 for _ in range(100))

    (stretch,) = near_links(pieces())
    assert stretch.startswith(LINK)
    assert len(stretch) <= LONGEST_LINE + 1000
