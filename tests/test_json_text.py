"""JSON that goes to a terminal, a file or a webhook holds no character that steers or hides."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from pathlib import Path

import pytest

import deliverability
from deliverability.cli import main
from deliverability.core.codec import json_text

pytestmark = pytest.mark.long


def test_every_control_and_format_character_is_escaped_and_comes_back() -> None:
    everything = map(chr, range(sys.maxunicode + 1))
    steering = [char for char in everything if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    for char in steering:
        written = json_text({char: [char]})
        assert char not in written
        assert json.loads(written) == {char: [char]}


def test_what_people_read_stays_as_it_is() -> None:
    shown = "会議 カフェ\u3000é 👍 العربية"
    assert shown in json_text([shown])


def test_all_json_is_written_by_it() -> None:
    """Where `ensure_ascii=False` stands elsewhere, it is no JSON for people: HCL, TOML, the history."""
    root = Path(deliverability.__file__).parent
    found = {
        str(file.relative_to(root)) for file in root.rglob("*.py") if "ensure_ascii=False" in file.read_text("utf-8")
    }
    history = {"core/store/pieces.py", "core/store/observations.py"}
    assert found == {"core/codec.py", "core/report/records.py", "weekly/config.py", *history}


@pytest.mark.parametrize("style", ["json", "sarif"])
@pytest.mark.parametrize("odd", ["\x9b31m", "\x85", "\u202e", "\u2066", "\u200b", "\u2028"])
def test_from_a_record_to_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes], style: str, odd: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.eml").write_bytes(f"From: a@shop.example\r\nSubject: x{odd}x\r\n\r\nx{odd}\r\n".encode())
    with pytest.raises(SystemExit):
        main(["audit", "--offline", "--eml", "m.eml", "--format", style])
    out = capsysbinary.readouterr().out.decode("utf-8")
    assert odd not in out
    assert json.loads(out)
    if style == "json":
        assert re.search(r"x\\u[0-9a-f]{4}", out), "it is there, written out"
