"""One meaning a name: no two public types of the package share theirs. A private one is its module's own affair."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import deliverability

PACKAGE = Path(deliverability.__file__).parent


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
