"""`import deliverability` for programs: light to import, and usable as the README shows."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import deliverability
from deliverability import discover_dmarc, evaluate_spf, verify_arc, verify_dkim
from tests.api.worlds import KEY, WORLD
from tests.signing import MESSAGE, seal_arc, sign

pytestmark = pytest.mark.long

HEAVY = (
    "checkdmarc",
    "cryptography",
    "dkim",
    "dns",
    "httpx",
    "httpx2",
    "jinja2",
    "publicsuffixlist",
    "sqlalchemy",
    "PIL",
)
MAIL = Path(__file__).parent / "mails" / "japanese.eml"


_KEPT = tempfile.TemporaryDirectory(prefix="deliv-tests-")  # where no other test has kept a history


def loaded_by(code: str, *, whole: bool = False) -> set[str]:
    """The modules that are loaded after `code` ran in a fresh interpreter: the top-level ones, or all as a whole."""
    names = "set(sys.modules)" if whole else "{name.partition('.')[0] for name in sys.modules}"
    return set(json.loads(told_by(f"{code}\nimport json, sys\nprint(json.dumps(sorted({names})))")))


def told_by(program: str) -> str:
    """The last line that a program prints in a fresh interpreter."""
    root = str(Path(deliverability.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": root, "XDG_CACHE_HOME": _KEPT.name, "XDG_STATE_HOME": _KEPT.name},
        timeout=600,
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "code",
    [
        "import deliverability",
        "from deliverability.cli import main\ntry: main(['--version'])\nexcept SystemExit: pass",
    ],
    ids=["import", "version"],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(code: str) -> None:
    assert loaded_by(code) & set(HEAVY) == set()


def test_importing_the_package_loads_next_to_nothing() -> None:
    """Within 15 ms on any machine: a new interpreter has nearly all of it already."""
    few = {
        "__future__",
        "deliverability",
        "importlib",
        "importlib._bootstrap",
        "importlib._bootstrap_external",
        "warnings",
    }
    assert loaded_by("import deliverability", whole=True) - loaded_by("", whole=True) <= few


REPORT = f"""
from deliverability.cli import main
try: main(['audit', '--eml', {str(MAIL)!r}, '--offline'])
except SystemExit: pass"""


def test_a_report_loads_nothing_heavy_but_what_it_needs() -> None:
    """Rules and words come from the cache but in the first run, and what reads them is not loaded."""
    loaded_by(REPORT)
    assert loaded_by(REPORT) & {*HEAVY, "alembic", "pygal"} == {"publicsuffixlist"}
    assert "deliverability.core.rules.load" not in loaded_by(REPORT, whole=True)


def test_help_that_was_read_before_loads_no_reader() -> None:
    help_ = "from deliverability.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    loaded_by(help_)
    assert loaded_by(help_) & set(HEAVY) == set()


SMALL = Path(__file__).parent / "mails" / "small.eml"
STARTS = {
    "--help": (25, 165, {"logging", "traceback", "email", "yaml", "idna", "asyncio"}),
    f"audit --eml {SMALL} --offline": (205, 445, {"yaml", "sqlite3", "email.utils"}),
}
"""Commands: how many modules of ours and in all they load at most, and some that they have no need of."""
ELSEWHERE = ("core.replies.notice", "core.report.formats.html", "core.report.handout", "lists.run", "core.store")


@pytest.mark.parametrize("command", STARTS)
def test_a_command_starts_with_few_modules(command: str) -> None:
    """Each costs every run: what is loaded beside belongs to another command."""
    ours, every, others = STARTS[command]
    code = f"from deliverability.cli import main\ntry: main({command.split()!r})\nexcept SystemExit: pass"
    loaded_by(code)
    loaded = loaded_by(code, whole=True)
    assert len([each for each in loaded if each.startswith("deliverability")]) <= ours
    assert len(loaded) <= every
    assert loaded & {*others, *(f"deliverability.{each}" for each in ELSEWHERE)} == set()


COMPILED = """
import json, re, re._compiler, re._parser
given, compile = [], re._compiler.compile
def told(pattern, flags=0):
    if isinstance(pattern, (str, bytes)): given.append((pattern, int(flags)))
    return compile(pattern, flags)
re._compiler.compile = told
from deliverability.cli import main
try: main(%r)
except SystemExit: pass
def widest(tree):
    sizes = [0]
    for op, of in tree:
        if str(op) == "IN":
            sizes.append(sum(each[1] - each[0] + 1 for kind, each in of if str(kind) == "RANGE"))
        for each in of if isinstance(of, (tuple, list)) else ():
            for part in each if isinstance(each, list) else (each,):
                if isinstance(part, re._parser.SubPattern): sizes.append(widest(part))
    return max(sizes)
print(json.dumps([repr(pattern) for pattern, flags in given if widest(re._parser.parse(pattern, flags)) > 10_000]))
"""


def test_no_command_compiles_sets_of_ten_thousands_of_characters() -> None:
    """Python looks at each character of a set: two such patterns took as long as all others together."""
    loaded_by(REPORT)
    assert json.loads(told_by(COMPILED % ["audit", "--eml", str(SMALL), "--offline"])) == []


def test_asking_the_dns_loads_no_http_client() -> None:
    """It took a quarter of `deliv audit DOMAIN`, and only DNS over HTTPS needs it."""
    assert loaded_by("import deliverability.core.net.dns") & set(HEAVY) == set()


def test_the_fact_catalogue_is_light() -> None:
    loaded = loaded_by("from deliverability.engine.base import catalogue\ncatalogue()")
    assert loaded & set(HEAVY) == set()


def test_every_public_name_loads() -> None:
    for name in deliverability.__all__:
        assert getattr(deliverability, name) is not None
    assert sorted(deliverability.__all__) == sorted(set(deliverability.__all__))


def test_what_type_checkers_see_is_what_is_loaded() -> None:
    """`from deliverability import x` is typed by the imports for type checkers; they and the real homes agree."""
    tree = ast.parse(Path(deliverability.__file__).read_text("utf-8"))
    typed = {
        alias.asname or alias.name: str(node.module).removeprefix("deliverability.")
        + (f":{alias.name}" if alias.asname else "")
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == deliverability._HOME
    assert {*typed, "__version__"} == set(deliverability.__all__)


def test_no_package_has_the_name_of_a_public_function() -> None:
    """Once a submodule is imported, it is the attribute of that name, and the function cannot be reached any more."""
    modules = {path.stem for path in Path(deliverability.__file__).parent.iterdir()}
    assert modules & set(deliverability.__all__) == set()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = deliverability.no_such_name  # type: ignore[attr-defined]


async def test_evaluate_spf() -> None:
    passed = await evaluate_spf("192.0.2.25", "ann@example.com", "mail.example.com", WORLD)
    failed = await evaluate_spf("198.51.100.1", "ann@example.com", "mail.example.com", WORLD)
    assert (passed.result, failed.result) == ("pass", "fail")


async def test_verify_dkim() -> None:
    (result,) = await verify_dkim(sign(MESSAGE, KEY), WORLD)
    assert result.result == "pass"
    (changed,) = await verify_dkim(sign(MESSAGE, KEY).replace(b"bread", b"wine"), WORLD)
    assert changed.result == "fail"


async def test_verify_arc() -> None:
    assert (await verify_arc(MESSAGE, WORLD)).result == "none"
    sealed = seal_arc(sign(MESSAGE, KEY), KEY, domain="example.com")
    assert (await verify_arc(sealed, WORLD)).result == "pass"
    assert (await verify_arc(sealed.replace(b"bread", b"wine"), WORLD)).result == "fail"


async def test_discover_dmarc() -> None:
    found = await discover_dmarc("news.example.com", WORLD)
    assert (found.location, found.organizational_domain, found.policy) == ("example.com", "example.com", "reject")
