"""Every example of the page for programs prints what it says, in both languages."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests import ROOT

DEMO = ROOT / "deliverability" / "demo"
PAGES = {"en": ROOT / "docs" / "python.md", "ja": ROOT / "docs" / "ja" / "python.md"}
BLOCK = re.compile(r"(?ms)^## ([^\n]+)\n(?:(?!^## ).)*?^```python\n(.*?)^```")
PRINTED = re.compile(r"^\s*print\(.*\)  # (.*)$", re.MULTILINE)
EXAMPLES = [
    pytest.param(code, id=f"{lang}-{heading}")
    for lang, page in PAGES.items()
    for heading, code in BLOCK.findall(page.read_text("utf-8"))
]


@pytest.mark.parametrize("lang", PAGES)
def test_there_are_ten_and_each_says_what_it_prints(lang: str) -> None:
    text = PAGES[lang].read_text("utf-8")
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```", text)
    assert len(blocks) == len(BLOCK.findall(text)) >= 10
    assert all(len(PRINTED.findall(code)) == code.count("print(") or "print(edit" in code for code in blocks)


@pytest.mark.parametrize("code", EXAMPLES)
@pytest.mark.long
def test_an_example(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("example.zone", "newsletter.eml"):
        shutil.copy(DEMO / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "example", "exec", dont_inherit=True), {"__name__": "example"})
    assert capsys.readouterr().out.splitlines() == PRINTED.findall(code)
