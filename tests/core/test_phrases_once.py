"""The files of words: every key stands there once, and every leaf is text."""

from __future__ import annotations

import pytest

from deliverability.core import yaml as yamlstrict
from deliverability.core.files import locate


@pytest.mark.parametrize("name", ["strings.en", "strings.ja", "help.en", "help.ja", "handout.en", "handout.ja"])
def test_no_key_stands_twice(name: str) -> None:
    """The strict reader refuses a key that is repeated; the program reads these files without it."""
    assert yamlstrict.read((locate("reports") / f"{name}.yaml").read_text("utf-8")).data
