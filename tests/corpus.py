"""Where the tests find what others wrote: the suites in here, the corpus of mails and zones beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import ROOT, TESTS

SUITES = TESTS / "suites"
NO_CORPUS = "the corpus of real mails and zones is not here (DELIV_CORPUS=FOLDER names it)"
_CANDIDATES = (
    Path(os.environ.get("DELIV_CORPUS", "")),
    ROOT.parent / "shared" / "corpus",
)


def corpus_root() -> Path | None:
    """The corpus folder, or None where this checkout has none beside it."""
    for candidate in _CANDIDATES:
        if candidate.name and (candidate / "README.md").is_file():
            return candidate
    return None


def corpus(*parts: str) -> Path:
    """A path inside the corpus; skips the test with a clear message where the corpus is absent."""
    root = corpus_root()
    if root is None:
        pytest.skip(NO_CORPUS)
    return root.joinpath(*parts)


def suite(*parts: str) -> Path:
    """A path inside the suites, which every clone has; only the source distribution leaves them out."""
    if not SUITES.is_dir() and (SUITES.parents[1] / "PKG-INFO").is_file():
        pytest.skip("the source distribution leaves the standards' suites out", allow_module_level=True)
    return SUITES.joinpath(*parts)
