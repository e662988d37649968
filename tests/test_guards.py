"""What the layers promise each other and no type says: guards over the source, each seen here to find its offence."""

from __future__ import annotations

import ast
import io
import re
import socket
import tokenize
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path

import pytest

import deliverability
from deliverability.core.phrases import LANGUAGES, phrases
from deliverability.engine.rules import load_rules
from tests import TESTS

PACKAGE = Path(deliverability.__file__).parent

Guard = Callable[[str], Iterator[str]]


@lru_cache(maxsize=1)  # the guards look at one module after the other
def _nodes(source: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(source)))


def docstrings(nodes: Iterable[ast.AST]) -> set[int]:
    """The nodes that are docstrings, by identity."""
    return {
        id(node.body[0].value)
        for node in nodes
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }


def option_literals(source: str) -> Iterator[str]:
    """Options of commands in strings: below the command line nobody knows how an input is spelt there."""
    if "--" not in source:
        return
    ours = docstrings(_nodes(source))
    for node in _nodes(source):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in ours:
            yield from re.findall(r"(?<![\w-])--[a-zA-Z][\w-]*", node.value)


RULE_ID = re.compile(r"\b[A-Z]{2,6}-\d{3}\b")


@cache
def rule_ids() -> frozenset[str]:
    return frozenset(load_rules().rules)


def rule_literals(source: str) -> Iterator[str]:
    """Ids of rules in strings, docstrings and comments: only rule files judge, so nobody else names a rule."""
    if not RULE_ID.search(source):
        return
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", -1)):
            yield from (each for each in RULE_ID.findall(token.string) if each in rule_ids())


def prose_in_unknown(source: str) -> Iterator[str]:
    """Sentences as the detail of an Unknown: what was not known is a code, and the words are one room's."""
    if "Unknown" not in source:
        return
    for node in _nodes(source):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "Unknown":
            for detail in (*node.args[1:2], *(each.value for each in node.keywords if each.arg == "detail")):
                parts = detail.values if isinstance(detail, ast.JoinedStr) else [detail]
                if any(isinstance(each, ast.Constant) and " " in str(each.value) for each in parts):
                    yield ast.unparse(detail)


OUTSIDE = re.compile(
    r"(socket|ssl|http|httpx2?|urllib\.request|dns\.\w*resolver)\b|deliverability\.core\.net(?!\.base\b)"
)


def ways_out(source: str) -> Iterator[str]:
    """Imports of what reaches outside: a protocol is pure over the resolver that it is handed (ports.base)."""
    for node in _nodes(source):
        names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{each.name}" for each in node.names]
        for name in names:
            if OUTSIDE.match(name):
                yield name


READING = re.compile(
    r"(starts|ends)with|remove(pre|suf)fix|r?(partition|split|find|index)|count|replace|compile|(full)?match|search|find\w+|sub"
)
PROSE = re.compile(r"[A-Za-z]{2,}[,:;]? [A-Za-z]{2,}|[\u3040-\u30ff\u3400-\u9fff]{6}")


@cache
def spoken() -> str:
    """All that we say, in both languages."""
    return "\n".join(text for lang in LANGUAGES for text in phrases(lang).texts.values())


def parsed_sentences(source: str) -> Iterator[str]:
    """Pieces of our own sentences that a text is compared with or searched for: codes are read, never their words."""
    for node in _nodes(source):
        operands: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and READING.fullmatch(node.func.attr):
            operands = node.args
        for each in (inner for operand in operands for inner in ast.walk(operand)):
            if isinstance(each, ast.Constant) and isinstance(each.value, str) and PROSE.search(each.value):
                yield from [each.value] if each.value.strip(" :.") in spoken() else []


GUARDS: tuple[Guard, ...] = (option_literals, rule_literals, prose_in_unknown, ways_out, parsed_sentences)
# It writes the command line of a browser, which is all it is for.
COMMANDS_OF_OTHERS = frozenset({"core/net/browser.py"})
# Evidence of versions before 1.0 had no codes; "not re-read" is a value of rules/sources.yaml.
SENTENCES_OF_OTHERS = frozenset({"core/facts/base.py", "rulebook.py"})
# Where a guard does not look at the whole package.
SCOPE: dict[Guard, Callable[[str], bool]] = {
    # Commands, and what they share in `console`, are the ones that know options.
    option_literals: lambda name: name.startswith(("core/", "engine/")) and name not in COMMANDS_OF_OTHERS,
    ways_out: lambda name: name.startswith("core/protocols/"),
    parsed_sentences: lambda name: name not in SENTENCES_OF_OTHERS,
}


def test_the_package_is_clean() -> None:
    """Each module is parsed once, for all of them."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name, source = path.relative_to(PACKAGE).as_posix(), path.read_text("utf-8")
        for guard in GUARDS:
            found = list(guard(source)) if SCOPE.get(guard, bool)(name) else []
            assert found == [], f"{name}: {guard.__doc__}"


@pytest.mark.parametrize(
    ("guard", "source", "found"),
    [
        (option_literals, 'hint = "--helo"', ["--helo"]),
        (option_literals, 'hint = f"give {name} or --sending-ip"', ["--sending-ip"]),
        (option_literals, 'def f():\n    """Of --helo."""\n    # --helo\n    return "a -- b", "---", "x--y"', []),
        (rule_literals, 'if rule == "SPF-001": pass', ["SPF-001"]),
        (rule_literals, "pass  # so says DKIM-001", ["DKIM-001"]),
        (rule_literals, '"""See SPF-002."""\nx = f"{a} MSG-001"', ["SPF-002", "MSG-001"]),
        (rule_literals, 'x = "UTF-008 SPF-998 RFC-822"', []),
        (prose_in_unknown, 'x = Unknown(Reason.TIMEOUT, "no answer")', ["'no answer'"]),
        (prose_in_unknown, 'x = facts.Unknown(Reason.TIMEOUT, f"{name} is silent")', ["f'{name} is silent'"]),
        (prose_in_unknown, 'x = Unknown(Reason.TIMEOUT, detail="no answer")', ["'no answer'"]),
        (prose_in_unknown, "x = Unknown(Reason.TIMEOUT, SILENT(name=name)), Unknown(reason), Known(1, 'a b')", []),
        (ways_out, "import socket, re", ["socket"]),
        (
            ways_out,
            "from deliverability.core.net.dns import LiveResolver",
            ["deliverability.core.net.dns.LiveResolver"],
        ),
        (ways_out, "def f():\n    from dns.asyncresolver import Resolver", ["dns.asyncresolver.Resolver"]),
        (ways_out, "from deliverability.core.net.base import Found, Resolver\nimport dns.rdatatype, sslx", []),
        (parsed_sentences, 'if "could not be checked" in text: pass', ["could not be checked"]),
        (
            parsed_sentences,
            'x = line.startswith(f"{n} DNS lookups"), re.match("確認できませんでした", t)',
            [" DNS lookups", "確認できませんでした"],
        ),
        (parsed_sentences, 'x = "could not be checked"; y = t.split("too many connections from you")', []),
    ],
)
def test_a_guard_finds_what_it_looks_for_and_nothing_else(guard: Guard, source: str, found: list[str]) -> None:
    assert list(guard(source)) == found


def test_tests_mirror_the_package() -> None:
    """A folder of tests is named for the package or the module that it tests, or for what stands beside it."""
    rooms = {path.parent.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")} - {".", "contrib"}
    modules = {path.stem for path in PACKAGE.glob("*.py")}
    assert {room for room in rooms if not (PACKAGE / room).is_dir()} <= modules


# --- no test leaves this machine ---


@pytest.mark.parametrize("address", ["192.0.2.1", "example.com"])
def test_a_test_reaches_no_other_machine(address: str) -> None:
    with socket.socket() as one, pytest.raises(AssertionError, match=f"a test tried to reach {address}"):
        one.connect((address, 25))
    with socket.socket(type=socket.SOCK_DGRAM) as one, pytest.raises(AssertionError, match=address):
        one.sendto(b"x", (address, 53))
