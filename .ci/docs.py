"""Writes the generated parts of the documentation, or checks them (--check)."""

from __future__ import annotations

import re
import subprocess
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from msgspec import Struct

from deliverability.cli import deliv
from deliverability.console.settings import Settings, meanings
from deliverability.core.facts.base import FactSpec
from deliverability.core.model.schema import fields_of
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules
from deliverability.site.command import manual

ROOT = Path(__file__).resolve().parent.parent


def fact_table() -> str:
    """All facts with type, unit and meaning, one table a topic."""
    groups: dict[str, list[FactSpec]] = {}
    for spec in catalogue().values():
        groups.setdefault(spec.path.split(".")[0].removesuffix("[]"), []).append(spec)
    parts: list[str] = []
    for topic, specs in groups.items():
        parts += [f"\n### {topic}\n", "| fact | type | unit | meaning |", "| --- | --- | --- | --- |"]
        for spec in specs:
            kind = spec.type.value + (", may be absent" if spec.optional else "")
            values = f" One of {', '.join(f'`{value}`' for value in spec.values)}." if spec.values else ""
            doc = (spec.doc + values).replace("|", "\\|").replace("<", "&lt;")
            parts.append(f"| `{spec.path}` | {kind} | {spec.unit} | {doc} |")
    return "\n".join(parts) + "\n"


def setting_table() -> str:
    """Every key of deliv.toml with its values and meaning."""
    rows = [f"| `{name}` | {kind} | {doc} |" for name, kind, doc in _settings(Settings, "")]
    return "\n".join(["| key | value | meaning |", "| --- | --- | --- |", *rows]) + "\n"


def _settings(table: type[Struct], before: str) -> Iterator[tuple[str, str, str]]:
    hints = {key: hint.__origin__ for key, (_, hint) in fields_of(table).items()}
    for key, setting in meanings(table).items():
        kinds = [kind for kind in get_args(hints[key]) or (hints[key],) if kind not in (type(None), ...)]
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Struct)), None)
        doc = setting.doc.replace("|", "\\|")
        if inner is None:
            yield before + key, _kind(hints[key]), doc
        else:
            listed = get_origin(hints[key]) is tuple
            place = f"{before}{key}.NAME" if get_origin(hints[key]) is Mapping else before + key
            yield f"[[{place}]]" if listed else f"[{place}]", "tables, one for each" if listed else "table", doc
            yield from _settings(inner, f"{place}.")


_KINDS = {str: "string", Path: "path", bool: "true or false", int: "number", float: "number"}


def _kind(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(hint))
    if get_origin(hint) is tuple:
        return "list of " + {str: "strings", Path: "paths"}[get_args(hint)[0]]
    if isinstance(hint, types.UnionType) or get_args(hint):
        return _kind(next(kind for kind in get_args(hint) if kind is not type(None)))
    return _KINDS.get(hint, hint.__name__)


def output(*arguments: str) -> str:
    """What a command prints, as a fenced block."""
    ran = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "deliverability", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={
            "PATH": "",
            "COLUMNS": "100",
            "PYTHONPATH": str(ROOT),
            "LC_ALL": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    return f"```text\n$ deliv {' '.join(arguments)}\n{ran.stdout.strip()}\n```\n"


_CLAIM_HEADS = {"en": ("claim", "rests on", "; "), "ja": ("結果", "根拠", "、")}


def claim_table(lang: str = "en") -> str:
    """Every claim with what it rests on, as rules/claims.yaml has it."""
    head, basis, joiner = _CLAIM_HEADS[lang]
    rows = [
        f"| {each.text[lang]} | {joiner.join(one.text[lang] for one in each.requires)} |"
        for each in load_rules().claims.values()
    ]
    return "\n".join([f"| {head} | {basis} |", "| --- | --- |", *rows]) + "\n"


FILES = {
    ROOT / "docs" / "man" / "deliv.1": lambda: manual(deliv, "en"),
    ROOT / "docs" / "man" / "deliv.ja.1": lambda: manual(deliv, "ja"),
}


def excerpt(text: str, lines: int, begin: str = "") -> str:
    """So many lines of a fenced block, from the first or from the one that begins with `begin`."""
    fence, command, *printed = text.splitlines()[:-1]
    first = next(number for number, line in enumerate(printed) if line.startswith(begin))
    chosen = printed[first : first + lines]
    before, after = ["..."] * (first > 0), ["..."] * (first + lines < len(printed))
    return "\n".join([fence, command, *before, *chosen, *after, "```", ""])


BLOCKS = {
    (ROOT / "rules" / "README.md", "facts"): fact_table,
    (ROOT / "docs" / "settings.md", "settings"): setting_table,
    (ROOT / "docs" / "auditing.md", "help"): lambda: output("audit", "--help"),
    (ROOT / "docs" / "reading.md", "claims"): claim_table,
    (ROOT / "docs" / "reading.md", "demo"): lambda: excerpt(output("demo"), 44),
    (ROOT / "docs" / "reading.md", "trace"): lambda: excerpt(output("demo", "--trace"), 20, "How SPF"),
    (ROOT / "docs" / "ja" / "auditing.md", "help"): lambda: output("audit", "--help", "--lang", "ja"),
    (ROOT / "docs" / "ja" / "reading.md", "claims"): lambda: claim_table("ja"),
    (ROOT / "docs" / "ja" / "reading.md", "demo"): lambda: excerpt(output("demo", "--lang", "ja"), 44),
    (ROOT / "docs" / "ja" / "reading.md", "trace"): lambda: excerpt(
        output("demo", "--trace", "--lang", "ja"), 20, "192.0.2.77に対するSPF"
    ),
}


def main() -> int:
    """Write, or with --check compare; 1 where a block is out of date."""
    check = "--check" in sys.argv[1:]
    stale: list[str] = []
    for (path, name), make in BLOCKS.items():
        text = path.read_text("utf-8")
        pattern = re.compile(rf"((?:<!--|#) {name}:begin[^\n]*\n).*?( *(?:<!--|#) {name}:end)", re.DOTALL)
        if not pattern.search(text):
            stale.append(f"{path.name}: no block {name}")
            continue
        block = make()
        updated = pattern.sub(lambda match, block=block: match[1] + block + match[2], text)
        if updated == text:
            continue
        if check:
            stale.append(f"{path.relative_to(ROOT)}: the block {name} is out of date; run `make docs`")
        else:
            path.write_text(updated, "utf-8")
    for path, make in FILES.items():
        written = make()
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(written, "utf-8")
        elif not path.is_file() or path.read_text("utf-8") != written:
            stale.append(f"{path.relative_to(ROOT)} is out of date; run `make docs`")
    for line in stale:
        print(line, file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
