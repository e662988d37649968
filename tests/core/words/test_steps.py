"""The words of a step that is about several things."""

from __future__ import annotations

import io
import zipfile
from email.message import EmailMessage
from pathlib import Path

import pytest
from msgspec.structs import replace

from deliverability.core.words.steps import step_words
from tests.console.test_cli import Deliv, deliv
from tests.speaking import shipped
from tests.test_golden import audited

__all__ = ["deliv"]


def encrypted() -> bytes:
    """A ZIP archive whose one entry says that it is encrypted (bit 0 of both flags)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", "secret")
    octets = bytearray(out.getvalue())
    octets[6] |= 1
    octets[octets.index(b"PK\x01\x02") + 8] |= 1
    return bytes(octets)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_both_of_two_archives_are_named_and_not_the_places_of_their_parts(deliv: Deliv, lang: str) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "news@shop.example", "a@example.org", "Files"
    mail.set_content("Here they are.")
    for name in ("quote.zip", "contract.zip"):
        mail.add_attachment(encrypted(), maintype="application", subtype="zip", filename=name)
    Path("two.eml").write_bytes(mail.as_bytes())

    told = deliv("audit", "shop.example", "--offline", "--eml", "two.eml", "--all", "--lang", lang).out
    title = next(line for line in told.splitlines() if "quote.zip" in line and line[:1].isdigit())
    following = told[told.index(title) :][:200]
    assert "contract.zip" in following
    assert "quote.zip/1.2" not in title


@pytest.mark.parametrize(
    ("before", "says", "label"),
    [
        (3, "Do this after the following change to the same record: Remove include:_spf.oldvendor.example", "after"),
        (1, "Do this after the following change: Sign with DKIM for sakura-shop.example", "now"),
        (None, "", "now"),
    ],
    ids=["same record", "another place", "nothing"],
)
def test_a_request_names_what_comes_first_and_the_record_that_it_leaves(
    before: int | None, says: str, label: str
) -> None:
    report = audited("demo")
    step = next(each for each in report.answer.plan if each.remedy == "spf-add-all")
    step = replace(step, follows=(before,) if before else ())
    asked = step_words(step, report, shipped("en")).hand_over
    assert [each.startswith(says) for each in asked if each.startswith("Do this")] == ([True] if says else [])
    start = {"after": "Replace (as it is after that change): ", "now": "Replace: "}[label]
    assert [each.startswith(start) for each in asked if each.startswith("Replace")] == [True]
