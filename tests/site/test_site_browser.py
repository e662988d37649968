"""The site in a real browser: every kind of page by the rules of axe-core, and on a phone and a desk."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from tests.core.report.test_browser import DESKTOP, PHONE, accessibility, axe, chromium, measured  # fixtures among them
from tests.site.test_site import LANGUAGES, site

__all__ = ["axe", "chromium"]

pytestmark = pytest.mark.system

# One of each template.
KINDS = (
    "index.html",
    "rules/SPF-003.html",
    "receivers/index.html",
    "receivers/gmail.html",
    "replies/index.html",
    "replies/gmail.html",
    "services.html",
    "verdicts.html",
    "glossary.html",
    "a-z.html",
    "guide/index.html",
    "guide/formats.html",
)


def page_of(name: str) -> str:
    """A page with its style in it, and the box of the search open, as the script shows it."""
    linked = f'<link rel="stylesheet" href="{"../" * name.count("/")}style.css">'
    assert linked in site()[name]
    return (
        site()[name]
        .replace(linked, f"<style>{site()['style.css']}</style>")
        .replace('role="search" hidden', 'role="search"')
    )


@pytest.mark.parametrize(
    ("page", "scheme"),
    [
        ("index.html", "light"),
        *((f"{lang}/{kind}", {"en": "light", "ja": "dark"}[lang]) for lang in LANGUAGES for kind in KINDS),
    ],
)
def test_axe_finds_nothing(chromium: str, axe: str, tmp_path: Path, page: str, scheme: str) -> None:
    assert accessibility(chromium, axe, tmp_path, page_of(page), scheme)["violations"] == []


def test_they_fit_a_phone_and_a_desk(chromium: str, tmp_path: Path) -> None:
    keys = [*product(KINDS, LANGUAGES, (DESKTOP, PHONE))]
    found = measured(chromium, tmp_path, [(page_of(f"{lang}/{kind}"), "light", width) for kind, lang, width in keys])
    for key, measure in zip(keys, found, strict=True):
        assert (measure["overflow"], measure["outside"]) == (0, []), key
