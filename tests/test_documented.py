"""What stands in a table has to stand in the documentation too: commands, formats, settings, auditors, dependencies."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import sys
import textwrap
import tomllib
import types
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from click.testing import CliRunner
from msgspec import Struct

import deliverability.core.protocols
import deliverability.core.report.formats
import deliverability.engine.auditors
from deliverability.cli import COMMANDS
from deliverability.console.settings import Settings
from deliverability.core.facts.base import Unknown
from deliverability.core.inputs import Sample, Subject
from deliverability.core.mail.reader import read
from deliverability.core.model.schema import Misfits, What, fields_of, read_as
from deliverability.core.net.clock import SystemClock
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import StaticResolver
from deliverability.core.report.formats.table import FORMATS, WriterOptions
from deliverability.core.report.report import ReportView
from deliverability.engine.base import Auditor, gather
from deliverability.features import AUDITORS
from tests import ROOT
from tests.fixtures_report import make_report, speaker
from tests.parsed import trees
from tests.speaking import BRACKETS

DOCS = ROOT / "docs"
READMES = {"en": ROOT / "README.md", "ja": DOCS / "README.ja.md"}
GUIDE = {path.name: path.read_text("utf-8") for path in sorted(DOCS.glob("*.md")) if path not in READMES.values()}
TRANSLATED = sorted(path.name for path in (DOCS / "ja").glob("*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("lang", READMES)
def test_the_readmes_are_short_and_alike(lang: str) -> None:
    """What a newcomer types is the same in both languages, and nothing installs a name that somebody else may take."""
    text = READMES[lang].read_text("utf-8")
    assert len(text.splitlines()) <= 120
    blocks = [re.findall(r"```sh\n(.*?)```", path.read_text("utf-8"), re.DOTALL) for path in READMES.values()]
    comment = re.compile(r" +# (?!exit \d).*|(?<=# exit \d).*")
    typed = [[comment.sub("", line) for block in each for line in block.splitlines()] for each in blocks]
    assert typed[0] == typed[1]
    assert len(re.findall(r"(?m)^\d+\. ", text)) == 10


def written(name: str, lang: str) -> str:
    """A page of the guide without what `make docs` writes into it."""
    text = ((DOCS if lang == "en" else DOCS / lang) / name).read_text("utf-8")
    text = re.sub(r"(<!-- \w+:begin).*?(:end -->)", r"\1\2", text, flags=re.DOTALL)
    return text.partition("| キー |")[0] if name == "settings.md" else text


def blocks(text: str) -> list[str]:
    """The fenced blocks, without remarks but those on the exit code, which .ci/readme.py reads."""
    found: list[str] = re.findall(r"(?ms)^ *```.*?^ *```$", text)
    return [re.sub(r" *# (?!exit \d)[^\n]*|(?<=# exit \d)[^\n]*", "", each) for each in found]


def _typed(block: str) -> list[str]:
    """What is typed in a block, the option for the language of the page aside."""
    return [each.removesuffix(" --lang ja") for each in re.findall(r"(?m)^(?:\$ |>).*$", block)]


def _differs(english: str, japanese: str) -> bool:
    """Of what a command prints each page has its own language; what is typed is the same."""
    prints = re.match(r" *```(?:console|text)\n", japanese) and re.search(r"[ぁ-んァ-ヶ一-龥]", japanese)
    return _typed(english) != _typed(japanese) if prints else english != japanese


@pytest.mark.parametrize("name", TRANSLATED)
def test_what_a_command_prints_is_in_the_language_of_the_page(name: str) -> None:
    """A reader of Japanese is shown Japanese, with the option that gives it."""
    for block in re.findall(r"(?ms)^ *```(?:console|text)\n(.*?)^ *```$", (DOCS / "ja" / name).read_text("utf-8")):
        lines = block.splitlines()
        printed = [line for line in lines if not line.startswith("$ ") and not line.startswith("    --")]
        if not lines[0].startswith("$ ") or not printed:
            continue
        assert re.search(r"[ぁ-んァ-ヶ一-龥]", "\n".join(printed)), block
        assert [line for line in lines if line.startswith("$ deliv") and "--lang ja" not in line] == []


def typed_words(text: str) -> set[str]:
    """Commands, options and settings within the sentences."""
    prose = re.sub(r"(?ms)^ *```.*?^ *```$", "", text)
    return {word for span in re.findall(r"`([^`]+)`", prose) for word in re.findall(r"--[a-z-]+|\bdeliv [a-z-]+", span)}


@pytest.mark.parametrize("name", TRANSLATED)
def test_a_page_is_the_same_in_both_languages(name: str) -> None:
    """Headings, commands, options and code; so that a change of one page is not forgotten in the other."""
    english, japanese = (written(name, lang) for lang in ("en", "ja"))
    levels = [re.findall(r"(?m)^(#+) ", re.sub(r"(?ms)^ *```.*?^ *```$", "", text)) for text in (english, japanese)]
    assert levels[0] == levels[1]
    pairs = list(zip(blocks(english), blocks(japanese), strict=True))
    assert [each for each in pairs if _differs(*each)] == []
    assert typed_words(english) == typed_words(japanese)
    if name != "settings.md":
        assert re.findall(r"<!-- (\w+):begin", english) == re.findall(r"<!-- (\w+):begin", japanese)


def test_every_page_is_translated_but_those_for_developers() -> None:
    developers = {"architecture.md", "dependencies.md", "licences.md", "performance.md"}
    assert {name for name in GUIDE if not name.startswith("adding-")} - developers == set(TRANSLATED)


def test_the_settings_are_the_same_in_both_languages() -> None:
    english, japanese = (
        re.findall(r"(?m)^\| (`[^`]+`) \|", path.read_text("utf-8"))
        for path in (DOCS / "settings.md", DOCS / "ja" / "settings.md")
    )
    assert english == japanese


@pytest.mark.parametrize(
    "path",
    [*READMES.values(), *(DOCS / name for name in GUIDE), *(DOCS / "ja" / name for name in TRANSLATED)],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_link_of_a_page_leads_to_a_file(path: Path) -> None:
    targets = [each.partition("#")[0] for each in LINK.findall(path.read_text("utf-8")) if "://" not in each]
    assert [each for each in targets if each and not (path.parent / each).exists()] == []


@pytest.mark.parametrize(
    "path", [READMES["ja"], *(DOCS / "ja" / name for name in TRANSLATED)], ids=lambda path: path.name
)
def test_a_japanese_page_links_to_japanese_pages(path: Path) -> None:
    targets = [
        path.parent / each.partition("#")[0] for each in LINK.findall(path.read_text("utf-8")) if "://" not in each
    ]
    english = [each.name for each in targets if each.resolve().parent == DOCS and each.name in TRANSLATED]
    assert english == []


def test_no_text_installs_a_name_that_is_not_ours() -> None:
    texts = [path for top in ("docs", "reports", "rules") for path in (ROOT / top).rglob("*.*")]
    kinds = (".md", ".yaml", ".toml", ".html")
    read = {path: path.read_text("utf-8") for path in [*READMES.values(), *texts] if path.suffix in kinds}
    taken = re.compile(r"(pip|pipx|uv tool) install (-\S+ )*[\"']?deliv\b|uvx deliv\b")
    assert [path.name for path, text in read.items() if taken.search(text)] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_shown(name: str) -> None:
    """On a page for users: those on adding something show commands that are not there."""
    pages = [text for page, text in GUIDE.items() if not page.startswith("adding-")]
    shown = "\n".join([READMES["en"].read_text("utf-8"), *pages])
    assert re.search(rf"\bdeliv {re.escape(name)}(?![\w-])", shown)


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_every_format_has_its_row(form) -> None:
    printed = f"`{form.name}`" if form.prints else "–"
    assert re.search(rf"(?m)^\| [^|]+ \| {printed} \| `{re.escape(form.endings[0])}` \|", GUIDE["formats.md"])


def test_every_package_has_its_row() -> None:
    packages = {found.name for found in pkgutil.iter_modules(deliverability.__path__)} - {"__main__"}
    rows = {name for line in GUIDE["architecture.md"].splitlines() for name in re.findall(r"^\| `(\w+)`", line)}
    assert rows - {"data"} == packages


def test_every_module_with_a_writer_is_a_format() -> None:
    modules = [found.name for found in pkgutil.iter_modules(deliverability.core.report.formats.__path__)]
    writers = {
        name
        for name in modules
        if hasattr(importlib.import_module(f"deliverability.core.report.formats.{name}"), "writer")
    }
    assert writers == {form.module for form in FORMATS}


def example(page: str) -> dict[str, Any]:
    """The module that a page on adding something shows."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text("utf-8"), re.DOTALL)
    module = types.ModuleType(page)
    sys.modules[page] = module  # where the types of its fields are looked up
    exec(textwrap.dedent(code), vars(module))
    return vars(module)


def test_the_example_of_a_new_command_prints_what_it_says() -> None:
    done = CliRunner().invoke(example("adding-a-command.md")["command"], ["--lang", "en"], standalone_mode=False)
    assert done.output.startswith("icloud: Apple iCloud Mail\n")
    assert done.return_value == 0


async def test_the_example_of_a_new_auditor_states_its_facts() -> None:
    audit = example("adding-an-auditor.md")["audit"]
    raw = b"From: a@example.com\r\nOrganization: Ours\r\n\r\n"
    ports = Ports(StaticResolver({}), SystemClock())
    gathered = await gather([audit], Subject("example.com", sample=Sample("", data=raw)), ports, read(raw))
    facts = {path: fact.value for path, fact in gathered.facts.facts.items() if path.startswith("organization.")}
    assert facts == {"organization.present": True, "organization.octets": len(b"Organization: Ours\r\n")}
    assert not gathered.crashes


async def test_the_example_of_a_new_protocol_reads_a_record() -> None:
    discover = example("adding-a-protocol.md")["discover_adsp"]
    name = ("_adsp._domainkey.example.com", "TXT")
    assert (await discover("example.com", StaticResolver({name: ["dkim=all"]}))).practice == "all"
    assert (await discover("example.com", StaticResolver({}))).practice is None
    assert isinstance((await discover("example.com", StaticResolver({name: "timeout"}))).practice, Unknown)


def test_the_example_of_a_new_format_writes_reports() -> None:
    module = example("adding-a-format.md")
    writer = module["writer"](speaker(), WriterOptions(1, trace=False, fail_on=None))
    lines = (writer.report(ReportView(make_report(), speaker())) + writer.end()).splitlines()
    assert {len(line.split("\t")) for line in lines} == {4}
    assert len(lines) == len(make_report().findings)


def settings(table: type[Struct] = Settings, before: str = "") -> Iterator[str]:
    """The keys of the file, as they are written; those of a table with its name before them."""
    for key, (_, hint) in fields_of(table).items():
        kind = hint.__origin__
        kinds = [each for each in (kind, *get_args(kind)) if isinstance(each, type) and issubclass(each, Struct)]
        name = f"{before}{key}.NAME." if get_origin(kind) is Mapping else f"{before}{key}."
        yield from settings(kinds[0], name) if kinds else [before + key]


@pytest.mark.parametrize("key", list(settings()))
def test_every_setting_is_documented(key: str) -> None:
    assert f"| `{key}` |" in (ROOT / "docs" / "settings.md").read_text("utf-8"), "run `make docs`"


def documented_settings() -> list[str]:
    """What stands in the first column of the table: keys, and tables in their brackets."""
    table = (DOCS / "settings.md").read_text("utf-8").partition("<!-- settings:begin")[2]
    return re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)


@pytest.mark.parametrize("name", documented_settings())
def test_every_documented_setting_is_accepted(name: str) -> None:
    """As it stands there: a table as a table, a key in its table. Its value is no matter here."""
    *tables, key = name.strip("[]").split(".")
    inner: Any = {key: [{}] if name.startswith("[[") else {} if name.startswith("[") else "text"}
    for each in reversed(tables):
        inner = {each: [inner] if f"[[{each}]]" in LISTED or f".{each}]]" in LISTED else inner}
    misfits: Misfits = []
    read_as(Settings, inner, misfits)
    assert [each for each in misfits if each.what is What.UNKNOWN] == []
    headings = [each for each in misfits if each.place[-1] == key and name.startswith("[")]
    assert headings == [], "a table that is none"


LISTED = " ".join(each for each in documented_settings() if each.startswith("[["))


def test_every_auditor_is_registered() -> None:
    """Those of the engine stand in a module of their name; a module that holds none is one that auditors share."""
    modules = [found.name for found in pkgutil.iter_modules(deliverability.engine.auditors.__path__)]
    held = {
        f"engine.auditors.{name}:{attribute}": each.name
        for name in modules
        for attribute, each in vars(importlib.import_module(f"deliverability.engine.auditors.{name}")).items()
        if isinstance(each, Auditor)
    }
    assert set(held) == {each for each in AUDITORS if each.startswith("engine.")}


# Modules that protocols share, and that are none by themselves.
SHARED = {"dnssec", "mx", "protection", "psl", "text_record", "validation"}


def test_every_protocol_has_a_public_call() -> None:
    """A module directly below `protocols` is a protocol, and a program can call what it does without an audit."""
    homes = [home.split(".") for name, home in deliverability._HOME.items() if name.islower()]
    called = {home[2] for home in homes if home[:2] == ["core", "protocols"]}
    assert called == {found.name for found in pkgutil.iter_modules(deliverability.core.protocols.__path__)} - SHARED


def test_every_public_call_is_told_where_programs_look() -> None:
    calls = [name for name in deliverability.__all__ if name.islower() and not name.startswith("_")]
    assert [name for name in calls if f"`{name}`" not in str(deliverability.__doc__)] == []


# --- dependencies ----------------------------------------------------------------------------------------------------

# Names under which packages are imported, where they are not their own.
IMPORTED_AS = {
    "email-validator": "email_validator",
    "dkimpy": "dkim",
    "dnspython": "dns",
    "markdown-it-py": "markdown_it",
    "pillow": "PIL",
    "prometheus-client": "prometheus_client",
    "pyspf": "spf",
    "python-crontab": "crontab",
    "pytest-asyncio": "pytest_asyncio",
    "sse-starlette": "sse_starlette",
    "pyyaml": "yaml",
}


@cache
def declared() -> dict[str, list[str]]:
    """The packages of pyproject.toml, by the heading of the page under which each has its row."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = data["project"]["optional-dependencies"]
    runtime = data["project"]["dependencies"]
    used = {package for asked in extras.values() for package in asked}
    groups = {
        "deliv": runtime,
        **{f"deliv[{name}]": asked for name, asked in extras.items()},
        "Development": [each for each in data["dependency-groups"]["dev"] if each not in used],
        "Benchmarks": data["dependency-groups"]["benchmark"],
    }
    return {name: [re.split(r"[\[<>=,;]", each)[0] for each in asked] for name, asked in groups.items()}


@cache
def rows() -> dict[str, dict[str, list[str]]]:
    """The page: heading -> package -> the other cells."""
    page = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    found: dict[str, dict[str, list[str]]] = {}
    for part in page.split("\n## ")[1:]:
        heading, _, table = part.partition("\n")
        lines = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|")][2:]
        found[heading] = {cells[0]: cells[1:] for cells in lines}
    return found


@cache
def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(trees().get(path) or ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


@cache
def users() -> dict[str, set[str]]:
    """What is imported -> the rooms of ours that do, those of the core one by one."""
    package = ROOT / "deliverability"
    found: dict[str, set[str]] = {}
    for path in package.rglob("*.py"):
        first, *rest = path.with_suffix("").relative_to(package).parts
        for name in imports(path):
            found.setdefault(name, set()).add(f"core.{rest[0]}" if first == "core" else first)
    return found


def test_every_dependency_has_its_row() -> None:
    assert {name: list(table) for name, table in rows().items()} == declared()
    assert all(len(cells) == 3 and all(cells) for table in rows().values() for cells in table.values())


@pytest.mark.long
def test_the_rows_name_who_imports_a_package() -> None:
    tests = {path: path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py")}
    for table in rows().values():
        for package, (where, *_) in table.items():
            name = IMPORTED_AS.get(package, package.replace("-", "_"))
            ours = users().get(name, set())
            if where == "everywhere":
                assert len(ours) > 10, package
                continue
            line = re.compile(rf"^ *(?:import|from) {name}\b", re.MULTILINE)  # only what has it is taken apart
            if not ours and any(line.search(text) and name in imports(path) for path, text in tests.items()):
                ours = {"tests"}
            assert {each.strip("`") for each in where.split(", ")} == (ours or {"–"}), package


def test_nothing_is_imported_that_is_not_declared() -> None:
    """Beside the standard library; markupsafe is jinja2's own type of text.

    What `testing` plugs into is there where it is used.
    """
    asked = [
        each
        for group, packages in declared().items()
        if group not in ("Development", "Benchmarks")
        for each in packages
    ]
    known = {IMPORTED_AS.get(each, each) for each in asked} | {"deliverability", "markupsafe"}
    found = {name: who for name, who in users().items() if name not in known | sys.stdlib_module_names}
    assert found == {"pytest": {"testing"}, "django": {"testing"}}


@pytest.mark.parametrize(
    "page", [ROOT / "docs" / "README.ja.md", *sorted((ROOT / "docs" / "ja").glob("*.md"))], ids=lambda page: page.name
)
def test_japanese_pages_keep_to_the_typography(page: Path) -> None:
    """No blank beside Latin letters, no full-width percent sign; code, links and comments are not ours to space."""
    text = re.sub(r"```.*?```|<!--.*?-->|`[^`\n]*`|\]\([^)]*\)", "\ufffc", page.read_text("utf-8"), flags=re.DOTALL)
    japanese = "ぁ-んァ-ヶ一-龥"
    assert not re.findall(rf"[{japanese}] [A-Za-z0-9]\w*|\w*[A-Za-z0-9] [{japanese}]\w*", text)
    assert "％" not in text
    assert not re.findall(BRACKETS, re.sub(r"\]\([^)]*\)", "]", page.read_text("utf-8")))


@pytest.mark.parametrize("name", TRANSLATED)
def test_a_japanese_sentence_stays_on_its_line(name: str) -> None:
    """A line break shows as a blank, and Japanese has none between its words."""
    prose = re.sub(r"(?ms)^ *```.*?^ *```$", "", written(name, "ja"))
    assert not re.findall(r"(?m)^(?![|#<]).*\S\n *(?![-*|#<] ?|\d+\. )\S.*", prose)
