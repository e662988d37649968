"""The site in a real browser: every kind of page by the rules of axe-core, and on a phone and a desk."""

from __future__ import annotations

from itertools import product

import pytest

from tests.devtools import DESKTOP, PHONE, Tab, measured, violations
from tests.sampled import sampled
from tests.site.test_site import LANGUAGES, site

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
SCHEMES = {"en": "light", "ja": "dark"}


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
        *sampled([(f"{lang}/{kind}", SCHEMES[lang]) for kind in KINDS for lang in LANGUAGES], len(LANGUAGES)),
    ],
)
def test_axe_finds_nothing(tab: Tab, axe: str, page: str, scheme: str) -> None:
    assert violations(tab, axe, page_of(page), dark=scheme == "dark") == []


def test_they_fit_a_phone_and_a_desk(tab: Tab) -> None:
    for kind, lang, width in product(KINDS, LANGUAGES, (DESKTOP, PHONE)):
        found = measured(tab, page_of(f"{lang}/{kind}"), width)
        assert (found["overflow"], found["outside"]) == (0, []), (kind, lang, width)
