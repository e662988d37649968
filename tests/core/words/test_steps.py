"""The words of a step that is about several things."""

from __future__ import annotations

import io
import zipfile
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.console.test_cli import Deliv, deliv

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
