"""A first settings file: what DNS tells is in it, guesses say that they are guesses, and it is good as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from deliverability.cli import deliv
from deliverability.console.settings import load
from deliverability.core.facts.base import Fact, FactSet, Reason, Unknown, Value
from deliverability.weekly.config import known
from tests.facts_of import value_of

ZONE = """$ORIGIN shop.example.
@ 300 IN SOA ns.shop.example. h.shop.example. 1 2 3 4 5
@ 300 IN NS ns.shop.example.
@ 300 IN MX 10 mail.shop.example.
mail 300 IN A 192.0.2.1
@ 300 IN TXT "v=spf1 mx -all"
s1._domainkey 300 IN TXT "v=DKIM1; p=MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("shop.zone").write_text(ZONE)
    return tmp_path


def run(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(deliv, ["init", *args])
    return done.exit_code, done.output


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_file_is_good_as_it_is_written(folder: Path, lang: str) -> None:
    code, output = run("shop.example", "--zone", "shop.zone", "--lang", lang)
    assert code == 0, output
    settings = load(folder / "deliv.toml")
    assert settings.names == ("shop.example",)
    assert settings.lang == lang
    own = settings.of("shop.example")
    assert (own.selectors, own.purpose) == (("s1",), "users")
    text = Path("deliv.toml").read_text()
    assert ("This is a guess" if lang == "en" else "推測") in text


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_every_example_in_it_is_good_too(folder: Path, lang: str) -> None:
    """With every # before a key or table taken away, the file still loads."""
    run("shop.example", "--zone", "shop.zone", "--lang", lang)
    rows = Path("deliv.toml").read_text().splitlines()
    example = re.compile(r"# (\[|(?!history)[a-z_]+ = )")
    used = [row.removeprefix("# ") if example.match(row) else row for row in rows]
    Path("all.toml").write_text("\n".join(used))
    settings = load(folder / "all.toml")
    assert settings.waiver[0].rule == "SPF-003"
    assert settings.notify.email is not None
    assert settings.notify.webhook is not None


def test_a_file_that_is_there_is_left_alone(folder: Path) -> None:
    Path("deliv.toml").write_text("# mine\n")
    code, output = run("shop.example", "--zone", "shop.zone")
    assert code != 0
    assert "Use --force to overwrite it" in output
    assert Path("deliv.toml").read_text() == "# mine\n"
    assert run("shop.example", "--zone", "shop.zone", "--force")[0] == 0
    assert "shop.example" in Path("deliv.toml").read_text()


def test_to_standard_output(folder: Path) -> None:
    code, output = run("shop.example", "--offline", "-o", "-")
    assert code == 0
    assert '# purpose = "users"' in output, "nothing could be asked, so nothing is guessed"
    assert not Path("deliv.toml").exists()


def facts(**values: Value) -> FactSet:
    return FactSet({path.replace("__", "."): Fact(path, value_of(path, value)) for path, value in values.items()})


@pytest.mark.parametrize(
    ("told", "purpose"),
    [
        ({"spf__sends_nothing": True, "mx__hosts": ()}, "parked"),
        ({"domain__null_mx": True}, "transactional"),
        ({"mx__hosts": ({"host": "mx.example"},)}, "users"),
        ({"mx__hosts": Unknown(Reason.TIMEOUT)}, ""),
        ({}, ""),
    ],
)
def test_the_guess(told: dict[str, Value], purpose: str) -> None:
    made = known("a.example", facts(**told), "en")
    assert made.purpose == purpose
    assert bool(made.why) is bool(purpose)
