"""Names in code: one meaning each, and the words of the field.

No two public types of the package share a name; a private one is its module's own affair. Words that say nothing of
what a thing is (told, kept ...) name nothing: there are messages, findings, answers, records, results.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import deliverability

PACKAGE = Path(deliverability.__file__).parent
ROOT = PACKAGE.parent

NOTHING_SAID = frozenset(
    {"world", "works", "told", "said", "kept", "stand", "stands", "standing", "standings", "picture", "pictures"}
    | {"carrier", "carriers", "letter", "letters", "teller", "tellers"}
)
OF_THE_FIELD: dict[str, tuple[str, ...]] = {
    # What a source of mail is to the domain: a fact, a column of the history, a key of reports.
    "standing": (
        *(f"auditors/{each}.py" for each in ("reported", "sources", "standing", "traffic")),
        *("history/causes.py", "notify/textfile.py", "runs/weekly/traffic.py"),
        *("render/sources.py", "view/sources.py"),
    ),
    "standings": ("auditors/reported.py", "model/traffic.py", "notify/textfile.py", "runs/weekly/traffic.py"),
    # Of a macro (RFC 7208 section 7.2).
    "letter": ("protocols/spf/",),
    "letters": ("protocols/spf/",),
}
"""Words that name something public or of a standard: the places where they may."""


def types(source: str) -> Iterator[str]:
    """The public types that a module defines: classes at any depth, and names for types."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(name := node.targets[0], ast.Name):
            yield from re.findall(r"\A[A-Z]+[a-z]\w*\Z", name.id)


def shared(modules: dict[str, str]) -> dict[str, list[str]]:
    """Each name of a type that several modules define -> these."""
    homes: dict[str, list[str]] = {}
    for module, source in modules.items():
        for name in types(source):
            homes.setdefault(name, []).append(module)
    return {name: where for name, where in homes.items() if len(where) > 1}


def test_a_type_has_a_name_of_its_own() -> None:
    found = shared(
        {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
    )
    assert found == {}


def test_what_counts_as_a_shared_name() -> None:
    assert shared(
        {
            "a": "class Reply: ...\nclass _Own: ...\nKind = int | str\nLIMIT = 3\nclass Outer:\n    class Inner: ...",
            "b": "class Reply: ...\nclass _Own: ...\nclass Kind: ...\nLIMIT = 4\ndef f():\n    Inner = 1",
            "c": "class Inner: ...\nfrom a import Outer",
        }
    ) == {"Reply": ["a", "b"], "Kind": ["a", "b"], "Inner": ["a", "c"]}


def words_of(name: str) -> set[str]:
    """The words that a name is put together of."""
    return {each.lower() for each in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def names(source: str) -> Iterator[str]:
    """What a module calls things: variables, arguments, attributes, functions, types, modules."""
    for node in ast.walk(ast.parse(source)):
        for field in ("id", "arg", "attr", "name", "asname", "module"):
            if isinstance(name := getattr(node, field, None), str):
                yield name


def nothing_said(path: str, source: str) -> set[str]:
    """Names in a file that say nothing."""
    allowed = {word for word, places in OF_THE_FIELD.items() if path.startswith(places)}
    return {name for name in (Path(path).stem, *names(source)) if words_of(name) & (NOTHING_SAID - allowed)}


def test_names_are_words_of_the_field() -> None:
    found = {}
    for folder in (PACKAGE, ROOT / ".ci", ROOT / "benchmarks"):
        for path in sorted(folder.rglob("*.py")):
            place = path.relative_to(folder).as_posix()
            if wrong := nothing_said(place, path.read_text("utf-8")):
                found[f"{folder.name}/{place}"] = wrong
    assert found == {}


def test_what_counts_as_a_name_that_says_nothing() -> None:
    source = """
from a.told import Kept as Other
def tell(said_by, *, toldest=1): return said_by.as_said
class CarrierProof: LETTERS = "kept"
'told'  # said
print(works=keptness)
"""
    assert nothing_said("a/b.py", source) == {
        "a.told",
        "Kept",
        "said_by",
        "as_said",
        "CarrierProof",
        "LETTERS",
        "works",
    }
    assert nothing_said("model/standing.py", "") == {"standing"}
    assert nothing_said("auditors/standing.py", "SourceStanding.said") == {"said"}
