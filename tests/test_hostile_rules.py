"""A rule folder that somebody made to do harm, or that a disk lost half of: one message, in time, or none of it counts.

Each is tried in the place of every kind of file that a rule folder has.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from deliverability.cli import main
from deliverability.contact.gather import load_contacts
from deliverability.core.cache import cached
from deliverability.core.errors import InputError
from deliverability.core.replies.match import load_replies
from deliverability.core.rules.knowledge import load_knowledge
from deliverability.core.rules.load import load_rules as load
from deliverability.core.rules.problems import read_guide
from deliverability.engine.base import catalogue
from deliverability.engine.remedies.records import REMEDIES
from deliverability.engine.rules import load_rules
from deliverability.lists.catalogue import load_list_data
from tests.killed import in_child

pytestmark = pytest.mark.long

SECONDS = 300  # of processor time for all places together, against what would never end; the slowest takes 5
MEMORY = 500_000_000  # octets beyond what the program has when it begins

PLACES = (
    "own.yaml",
    "sources.yaml",
    "guide.yaml",
    "tasks.yaml",
    "verdicts.yaml",
    "measures.yaml",
    "outside.yaml",
    "reporters.yaml",
    "seeds.yaml",
    "warm-up.yaml",
    "dns-providers.yaml",
    "attachments.yaml",
    "contacts.yaml",
    "glossary.yaml",
    "receivers/own.yaml",
    "senders/own.yaml",
    "clients/own.yaml",
    "blocklists/own.yaml",
    "replies/own.yaml",
    "lists/own.yaml",
)


def text(content: str | bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content.encode() if isinstance(content, str) else content) and None


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def loop_of_folders(path: Path) -> None:
    path.symlink_to("..", target_is_directory=True)


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{this}: &{this} [{', '.join([f'*{before}'] * 9)}]\n" for before, this in zip("abcdefgh", "bcdefghi", strict=True)
)
KINDS: dict[str, Callable[[Path], None]] = {
    "a pipe": os.mkfifo,
    "a device without end": lambda path: path.symlink_to("/dev/zero"),
    "a device that is empty": lambda path: path.symlink_to("/dev/null"),
    "a link to itself": loop,
    "a link to the folder above": loop_of_folders,
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a folder": lambda path: path.mkdir(),
    "nothing in it": text(""),
    "a comment": text("# nothing\n"),
    "null": text("null\n"),
    "a number": text("5\n"),
    "a huge number": text("9" * 100_000),
    "a word": text("word\n"),
    "an empty list": text("[]\n"),
    "a list of nothing": text("- \n- null\n- 5\n- [[]]\n- {}\n"),
    "empty fields": text("{}\n"),
    "fields of nothing": text("a:\nb: null\nc: 5\nd: []\n"),
    "deep lists": text("[" * 100_000),
    "deep fields": text("".join(f"{' ' * depth}a:\n" for depth in range(1500))),
    "deep fields in a line": text("{a: " * 100_000),
    "many lines": text("- a\n" * 900_000),
    "many keys": text("".join(f"k{number}: 1\n" for number in range(20_000))),
    "more than a file may have": text(b"#" * 4_000_001),
    "a file of 10 GB with nothing in it": lambda path: os.truncate(_touched(path), 10_000_000_000),
    "a billion laughs": text(LAUGHS),
    "an anchor in itself": text("a: &a\n  b: *a\n"),
    "a tag that would run": text("!!python/object/apply:os.system ['true']\n"),
    "several documents": text("a: 1\n---\nb: 2\n"),
    "no UTF-8": text(b"\xff\xfe\x00a"),
    "NUL": text(b"a: \x00\n"),
    "halves of pairs": text('a: "\\ud800"\n'),
    "directives": text("%YAML 9.9\n---\na: 1\n"),
    "keys that are lists": text("? [a]\n: b\n"),
}


def _touched(path: Path) -> Path:
    path.touch()
    return path


def read_all(folder: Path) -> None:
    """What all commands that take --rules read; each reader gives a result, or refuses it with its reasons."""
    readers: tuple[Callable[[], object], ...] = (
        lambda: load([folder], catalogue(), REMEDIES),
        lambda: load_knowledge([folder]),
        lambda: read_guide([folder]),
        lambda: load_replies([folder], load_rules()),
        lambda: load_list_data([folder]),
        lambda: load_contacts([folder], load_rules()),
        lambda: cached("hostile", [folder], lambda: 1),
    )
    for reader in readers:
        with contextlib.suppress(InputError):
            reader()


def within_limits(work: Callable[[], int]) -> int:
    """In a process of its own that may take neither long nor much, nor wait for anything."""

    def limited() -> int:
        with open("/proc/self/statm") as file:  # noqa: PTH123
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(3600)  # it waits for something that never comes
        return work()

    return in_child(limited)


ONE_OF_EACH = {
    *("a pipe", "a device without end", "a link to itself", "a folder", "deep lists", "a billion laughs"),
    *("a tag that would run", "NUL"),
}
"""Kinds that `make test` tries; those that are much like one of them are left to `make test-slow`."""


@pytest.mark.parametrize(
    "kind", [each if each in ONE_OF_EACH else pytest.param(each, marks=pytest.mark.slow) for each in KINDS]
)
def test_whatever_stands_there_is_told_or_does_nothing(tmp_path: Path, kind: str) -> None:
    load_rules()  # what is shipped, once for all

    def every_place() -> int:
        for place in PLACES:
            folder = tmp_path / place.replace("/", "-")
            path = folder / place
            path.parent.mkdir(parents=True)
            KINDS[kind](path)
            print(place, flush=True)
            read_all(folder)
            shutil.rmtree(folder)
        return 0

    assert within_limits(every_place) == 0


def test_a_name_with_a_line_end_stays_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a\nError: all is well\x1b[2J.yaml").write_text("5")
    code = in_child(lambda: main(["rules", "--check", "--rules", str(tmp_path)]))
    said = capfd.readouterr().err
    assert code == 2
    assert "\x1b" not in said
    assert not [line for line in said.splitlines() if line.startswith("Error: all is well")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not read")
@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_may_not_be_read_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str], what: str) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "own.yaml").write_text("[]")
    for each in (tmp_path.parents[1], tmp_path.parent, tmp_path):
        each.chmod(0o755)
    (folder if what == "folder" else folder / "own.yaml").chmod(0)

    def work() -> None:
        os.setgroups([])
        os.setuid(65534)
        main(["rules", "--check", "--rules", str(folder)])

    assert in_child(work) == 2
    said = capfd.readouterr().err
    assert "ermission denied" in said
    assert "Traceback" not in said
