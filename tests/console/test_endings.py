"""How commands end, whatever the machine does: one sentence, an exit code of the design, no traceback.

Streams, limits and signals are a process's: tests of them run one of their own.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import re
import resource
import shlex
import signal
import sqlite3
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

import deliverability.demo
from deliverability.cli import main
from deliverability.console import judging
from deliverability.engine.audit import Audited
from deliverability.engine.base import catalogue
from tests.console.test_cli import Deliv, Done
from tests.dripping import dripping
from tests.sampled import sampled, some_or_every

pytestmark = pytest.mark.long

DELIV = [sys.executable, "-m", "deliverability"]
ZONE = str(Path(deliverability.demo.__file__).parent / "example.zone")
EML = str(Path(deliverability.demo.__file__).parent / "newsletter.eml")
DOMAIN = "sakura-shop.example"
LONG = ".".join(["a" * 63] * 3 + ["b" * 56, "co"])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a user works; what the program keeps for itself, as the key of its cache, is elsewhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(deliverability.__file__).parents[1]))
    (tmp_path / "deliv.toml").write_text(f'domains = ["{DOMAIN}"]\nhistory = "sqlite:///h.db"\n')
    return tmp_path


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Deliv:
    """The command line in this process, for what is no matter of streams, limits and signals."""
    return Deliv(monkeypatch)


@pytest.fixture
def nothing_kept(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program runs for the first time: what it keeps from run to run is not there yet."""
    for each in ("XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(each, str(tmp_path_factory.mktemp("empty")))


def deliv(*words: str, before: Callable[[], None] | None = None, shell: str = "") -> Done:
    command: list[str] = [*DELIV, *words]
    if shell:
        command = ["/bin/sh", "-c", f"{shlex.join(command)} {shell}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, preexec_fn=before, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def one_sentence(done: Done, code: int = 2) -> str:
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    assert "Exception ignored" not in done.err
    *before, last = done.err.splitlines()
    assert last.startswith("Error: ")
    assert not [line for line in before if "rror" in line], "one sentence, and it is the last"
    return last


# --- Streams ---


@pytest.mark.parametrize(
    "words", sampled([(("demo",),), (("rules",),), (("docs", "--schema"),), (("schedule",),), (("--help",),)], 2)
)
def test_output_that_cannot_be_written_is_told(folder: Path, words: list[str]) -> None:
    assert "No space left on device" in one_sentence(deliv(*words, shell="> /dev/full"))


@pytest.mark.parametrize("words", sampled([(("demo",),), (("demo", "--format", "json"),), (("--version",),)], 3))
def test_output_that_is_closed_is_told(folder: Path, words: tuple[str, ...]) -> None:
    assert "a required standard stream is closed" in one_sentence(deliv(*words, shell=">&-"))


@pytest.mark.parametrize(
    "words", sampled([(each.split(),) for each in ("audit -", "audit --eml -", "judge -", "slim -", "explain -")], 3)
)
def test_input_that_is_closed_is_told(folder: Path, words: list[str]) -> None:
    assert "a required standard stream is closed" in one_sentence(deliv(*words, shell="<&-"))


def test_what_needs_no_stream_runs_without_any(folder: Path) -> None:
    done = deliv("audit", DOMAIN, "--zone", ZONE, "-o", "r.json", shell="<&- >&- 2>&-")
    assert done.code in (0, 1, 3)
    assert json.loads((folder / "r.json").read_text())["subject"]["domain"] == DOMAIN


# --- Disks ---


@pytest.mark.parametrize("octets", sampled([0, 1, 5000], 3))
@pytest.mark.parametrize("words", [("-o", "r.html"), ("-o", "r.json"), ("--record", "c.json")])
def test_a_full_disk_leaves_the_old_file_or_none(folder: Path, words: tuple[str, str], octets: int) -> None:
    (folder / words[1]).write_text("the old one")

    def full() -> None:
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # a module cut short would be left for whoever imports it next
        resource.setrlimit(resource.RLIMIT_FSIZE, (octets, octets))

    done = deliv("audit", DOMAIN, "--zone", ZONE, *words, before=full)
    assert "File too large" in one_sentence(done)
    assert (folder / words[1]).read_text() == "the old one"
    assert sorted(each.name for each in folder.iterdir()) == sorted(("deliv.toml", words[1]))


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.slow
def test_a_disk_that_is_full_at_the_first_run_leaves_the_old_file(folder: Path) -> None:
    test_a_full_disk_leaves_the_old_file_or_none(folder, ("-o", "r.html"), 5000)


# --- Machines with little ---

COMMANDS = (
    ("--help",),
    ("audit", DOMAIN, "--zone", ZONE),
    ("audit", DOMAIN, "--zone", ZONE, "--eml", EML, "-o", "r.html"),
    ("weekly", "--zone", ZONE),
    ("intake", ".", "--offline"),
    ("demo",),
)


@pytest.mark.parametrize("words", sampled([(each,) for each in COMMANDS], 3), ids=" ".join)
def test_too_few_open_files_are_told_before_anything_is_done(folder: Path, words: tuple[str, ...]) -> None:
    """Before, it stopped wherever the next file was needed, with the traceback of an auditor or a half-made loop."""
    for files in (6, 8, 31):
        done = deliv(*words, before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)))  # noqa: B023
        assert f"lets deliv open {files} files, and it needs 32" in one_sentence(done)
        assert done.err.count("\n") == 1
    assert [each.name for each in folder.iterdir()] == ["deliv.toml"]


def test_a_limit_that_may_be_raised_is_raised(folder: Path) -> None:
    done = deliv("demo", before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (8, 64)))
    assert done.out
    assert "files" not in done.err


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("megabytes", sampled([40, 80, 120], 3))
def test_too_little_memory_is_told(folder: Path, megabytes: int) -> None:
    octets = megabytes << 20
    for words in COMMANDS[1:3]:
        done = deliv(*words, before=lambda: resource.setrlimit(resource.RLIMIT_AS, (octets, octets)))
        assert done.code in (0, 1) or done.err
        for sign in ("Traceback", "Exception ignored", "never awaited"):
            if "site.py" not in done.err:  # before any line of ours runs
                assert sign not in done.err, done.err


# --- Histories ---


def test_a_port_that_is_no_number_is_told_without_the_password(here: Deliv) -> None:
    for url in (
        "postgresql+psycopg://u:s3cret@h:port/x",
        "postgresql+psycopg://u:s3cr@t@h:99999999/x",
        "//u:s3cret@:x",
    ):
        said = one_sentence(here("history", "--history", url))
        assert "s3cr" not in said


def test_a_password_in_the_options_of_an_address_is_not_told(here: Deliv) -> None:
    said = one_sentence(here("history", "--history", "postgresql+psycopg://u@127.0.0.1:1/x?password=s3cret"))
    assert "s3cret" not in said


def weekly(here: Deliv) -> Done:
    return here("weekly", "--zone", ZONE)


def test_a_newer_history_is_told(folder: Path, here: Deliv) -> None:
    assert weekly(here).code == 1
    with sqlite3.connect(folder / "h.db") as connection:
        connection.execute("UPDATE deliv_schema SET version_num = '9999'")
    for done in (weekly(here), here("history"), here("history", "--export")):
        assert "newer version of deliv" in one_sentence(done)


@pytest.mark.parametrize(
    "damage",
    [
        "x''",
        pytest.param("x'00'", marks=pytest.mark.slow),
        pytest.param("x'789c4b04000062'", marks=pytest.mark.slow),
        "(SELECT data FROM blobs LIMIT 1)",
    ],
)
def test_a_damaged_history_costs_neither_the_run_nor_the_other_subjects(folder: Path, here: Deliv, damage: str) -> None:
    settings = f'domains = ["{DOMAIN}", "other.example"]\nhistory = "sqlite:///h.db"\n'
    (folder / "deliv.toml").write_text(settings)
    assert weekly(here).code in (1, 3)
    with sqlite3.connect(folder / "h.db") as connection:
        pieces = {}
        for domain, digest, data in connection.execute(
            "SELECT domain, digest, data FROM snapshots JOIN blobs ON digest = manifest"
        ):
            pieces[domain] = {digest, *json.loads(zlib.decompress(data)).values()}
        for digest in pieces[DOMAIN] - pieces["other.example"]:
            connection.execute(f"UPDATE blobs SET data = {damage} WHERE digest = ?", (digest,))
    shown = here("history")
    assert shown.code == 3
    assert f"skipped: the stored data for {DOMAIN} is damaged" in shown.err
    assert "other.example" in shown.out
    (folder / "deliv.toml").write_text(f'selectors = ["other"]\n{settings}')  # so that the weeks have to be compared
    done = weekly(here)
    assert "Traceback" not in done.err
    summary = json.loads((folder / "deliv-reports" / "latest" / "summary.json").read_text())
    first, other = summary["subjects"]
    assert [each["code"] for each in first["problems"]] == ["history-damaged"]
    assert first["verdicts"], "it was audited all the same"
    assert other["problems"] == []
    assert weekly(here).code in (1, 3)
    summary = json.loads((folder / "deliv-reports" / "latest" / "summary.json").read_text())
    assert [each["problems"] for each in summary["subjects"]] == [[], []], "what was seen again is mended"


# --- Odd input ---

ODD = (7, "x", [7], {"a": 1}, [{}], [[]], [None], None, -1, 1.5, "", [{"domain": 7, "host": 7, "ip": 7, "evidence": 7}])


@pytest.mark.parametrize("value", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize("whose", ["all", "all but the subject's"])
def test_odd_facts_are_judged_or_told(
    folder: Path, value: object, whose: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [each for each in catalogue() if "[]" not in each and (whose == "all" or not each.startswith("subject."))]
    (folder / "facts.json").write_text(json.dumps({"facts": {path: {"value": value} for path in paths}}))
    with pytest.raises(SystemExit) as left:
        main(["judge", "facts.json", "--format", "json"])
    said = capsys.readouterr().err
    assert left.value.code in (0, 1, 2, 3)
    assert "Traceback" not in said
    assert "internal error" not in said


def test_odd_facts_of_one_subject_do_not_stop_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make = judging.make_report

    def odd(audited: Audited, *rest: object) -> object:
        if audited.subject.domain == "odd.example":
            raise TypeError("unhashable type: 'dict'")
        return make(audited, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(judging, "make_report", odd)
    both = [{"facts": {"subject.domain": {"value": name}}} for name in ("odd.example", "good.example")]
    (folder / "facts.json").write_text(json.dumps(both))
    with pytest.raises(SystemExit) as left:
        main(["judge", "facts.json", "--format", "csv"])
    done = capsys.readouterr()
    assert left.value.code == 2
    assert "skipped: facts.json: entry 1 cannot be judged" in done.err
    assert "good.example" in done.out


@pytest.mark.parametrize("command", ["audit", "fix", "facts", "weekly"])
def test_a_domain_of_251_characters(folder: Path, here: Deliv, command: str) -> None:
    """Before, its pages had names that no file system takes, and the run of all domains ended there."""
    (folder / "deliv.toml").write_text(f'domains = ["{LONG}", "{DOMAIN}"]\nhistory = "sqlite:///h.db"\n')
    done = here(command, "--zone", ZONE, *(() if command == "weekly" else (LONG, DOMAIN, "--selector", "s1")))
    assert done.code in (0, 1, 3)
    assert "Traceback" not in done.err
    assert "internal error" not in done.err


@pytest.mark.parametrize("command", ["audit", "fix", "facts"])
def test_a_message_that_cannot_be_read_does_not_stop_the_others(folder: Path, here: Deliv, command: str) -> None:
    (folder / "big.eml").write_bytes(b"Subject: x\n\n")
    with (folder / "big.eml").open("r+b") as file:
        file.truncate(200_000_000)
    more = ("--fail-on", "never") if command == "audit" else ()
    done = here(command, "--zone", ZONE, "--eml", "big.eml", "--eml", EML, *more)
    assert "not audited: big.eml: " in done.err
    assert done.code == 3
    assert DOMAIN in done.out


def test_a_fault_of_ours_is_told_in_one_sentence_and_shown_on_demand(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def burst(*_: object) -> None:
        raise ZeroDivisionError("a\x1b[31m\u202e fault")

    monkeypatch.setattr("deliverability.audits.saved.read_settings", burst)
    for words in ([], ["--debug"]):
        with pytest.raises(SystemExit) as left:
            main(["judge", "x.json", *words])
        assert left.value.code == 3
        said = capsys.readouterr().err
        assert "internal error. Report it: ZeroDivisionError: a\\x1b[31m\\u202e fault" in said
        assert ("Traceback" in said) is bool(words)


# --- Signals ---


@pytest.mark.parametrize("command", sampled(["intake", "weekly"], 2))
@pytest.mark.parametrize("drop", [b"", b"* 1 EXISTS\r\n"], ids=["silent", "dripping"])
def test_a_signal_ends_the_wait_for_a_mailbox(folder: Path, command: str, drop: bytes) -> None:
    """The loop of asyncio cancels what it waits for; what waits for a server of its own went on to its deadline."""
    asked = threading.Event()

    def talk(line: bytes) -> None:
        asked.set()

    with dripping(drop, greeting=b"* OK hi\r\n", talk=talk) as port:
        box = (
            f'[[feedback.mailbox]]\nname = "d"\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\nusername = "u"\n'
        )
        settings = f'domains = ["{DOMAIN}"]\nhistory = "sqlite:///h.db"\n{box}token_command = ["echo", "x"]\n'
        (folder / "deliv.toml").write_text(settings)
        process = subprocess.Popen([*DELIV, command, *(["--zone", ZONE])], stderr=subprocess.PIPE, text=True)
        assert asked.wait(600)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=600)
    assert process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in err


MADE = """
import deliverability.cli
from deliverability.__main__ import run

def interrupted():
    raise RuntimeError("Error calling __set_name__") from KeyboardInterrupt()

deliverability.cli.main = interrupted
run()
"""


def test_ctrl_c_while_a_class_is_made_is_no_fault() -> None:
    done = subprocess.run([sys.executable, "-c", MADE], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "")


@some_or_every(150)
@pytest.mark.parametrize("number", sampled([signal.SIGINT, signal.SIGTERM, signal.SIGHUP], 3))
def test_a_signal_at_any_moment_is_no_traceback_and_leaves_nothing(
    folder: Path, number: signal.Signals, apart: int
) -> None:
    """While modules are imported as well as during the work; the sooner it comes, the less of Python is there."""

    def in_background() -> None:
        # What runs there ignores Ctrl-C, and hands that down; so does nohup with SIGHUP.
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN if each == signal.SIGINT != number else signal.SIG_DFL)

    # Python tells of each import, the last ones amid the work; a pipe of a page keeps it from going on meanwhile.
    told = [sys.executable, "-X", "importtime", *DELIV[1:], "audit", DOMAIN, "--zone", ZONE, "-o", "r.html"]
    codes: list[int] = []
    chance, imports, ended = random.Random(number), 0, False
    while not ended:
        reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)  # before it is used: what holds more cannot be made smaller
        with os.fdopen(reading, encoding="utf-8") as lines, os.fdopen(writing, "wb") as telling:
            process = subprocess.Popen(told, stdout=subprocess.DEVNULL, stderr=telling, preexec_fn=in_background)
            telling.close()
            ended = sum(1 for _ in islice(lines, imports)) < imports
            process.send_signal(number)
            err = lines.read()
            process.wait()
        codes.append(process.returncode)
        # A negative number: it came before Python had begun, or ended.
        assert process.returncode in {128 + number, -number, -signal.SIGINT, 0, 1}, (imports, err[-2000:])
        # Before the program itself runs, Python may tell where it was: up to the entry of its function, too.
        assert not re.search(r'__main__.py", line \d+, in run\n(?! *def run)', err.partition("Traceback")[2]), err
        assert [each.name for each in folder.iterdir() if each.name.startswith(".")] == []
        imports += chance.randint(1, 2 * max(apart, 10) - 1)
    assert 128 + number in codes, codes
