"""Commands that write a file or a folder, killed at any step: the old state stands, or the new one, and nothing else.

After each kill the next run does what it would have done. (Weekly runs and intakes: tests/weekly/test_faults.py.)
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deliverability.cli import main
from deliverability.core.model.deliveries import AddressEvent, SuppressClass
from deliverability.intake.addresses import AddressFile
from deliverability.listen.store import AuditSummary, CaptureStore
from tests.killed import WRITES, Step, in_child, killed_at_every, stepping
from tests.sampled import some_or_every

pytestmark = pytest.mark.long

CALLS = (*WRITES, "open", "close", "fdopen")
ZONE = (
    "$ORIGIN shop.example.\n@ 300 IN SOA ns h 1 2 3 4 5\n@ 300 IN NS ns\n@ 300 IN MX 10 mail\n"
    'mail 300 IN A 192.0.2.1\n@ 300 IN TXT "v=spf1 mx -all"\n'
)
OLD = b"the old one\n"
COMMANDS = {
    "init": (["init", "shop.example", "--zone", "shop.zone", "-o", "made"], ("made",)),
    "init, over a file": (["init", "shop.example", "--zone", "shop.zone", "-o", "made", "--force"], ("made",)),
    "suppress": (["suppress", "--addresses", "kept.db", "--zone", "shop.zone", "-o", "made"], ("made",)),
    "suppress, over a file": (
        ["suppress", "--addresses", "kept.db", "--zone", "shop.zone", "-o", "made", "--force"],
        ("made",),
    ),
    "schedule": (
        ["schedule", "--systemd", "-o", "units"],
        ("units/deliv-weekly.service", "units/deliv-weekly.timer"),
    ),
}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the commands need, in which they run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.zone").write_text(ZONE)
    (tmp_path / "deliv.toml").write_text('domains = ["shop.example"]\n')
    kept = AddressFile(tmp_path / "kept.db")
    at = int(datetime.now(UTC).timestamp()) - 86_400
    kept.take([AddressEvent("a@shop.example", SuppressClass.COMPLAINT, at, "gmail", "complaint")], [])
    kept.settle()
    kept.close()
    return tmp_path


def run(words: list[str]) -> int:
    """The command's exit code where it found something or nothing; else the process ends with it."""
    try:
        main(words)
    except SystemExit as left:
        if left.code not in (0, 3):
            raise
    return 0


def strangers(folder: Path) -> set[str]:
    """What lies there and is neither what was there nor what is made."""
    known = {"shop.zone", "deliv.toml", "made", "units"}
    found = {each.name for each in folder.iterdir() if not each.name.startswith("kept.db")}
    return found - known


@some_or_every(3)
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_any_step_it_is_the_old_one_or_the_new_one(place: Path, name: str, apart: int) -> None:
    words, made = COMMANDS[name]
    run(words)  # in this process, so that no child has to import and read what all of them need
    new = [(place / each).read_bytes() for each in made]
    old = OLD if "over a file" in name else None

    def reset() -> None:
        for each in made:
            (place / each).unlink(missing_ok=True)
            if old is not None:
                (place / each).write_bytes(old)

    def work(step: Step) -> int:
        stepping(step, CALLS)
        return run(words)

    reset()
    kills = 0
    for _ in killed_at_every(work, apart):
        kills += 1
        for each, whole in zip(made, new, strict=True):
            path = place / each
            assert (path.read_bytes() if path.exists() else None) in (old, whole)
        reset()
        assert in_child(lambda: run(words)) == 0
        assert [(place / each).read_bytes() for each in made] == new
        assert strangers(place) == set(), "nothing of the killed one is left behind by the next one"
        reset()
    assert kills >= 4 / apart


@some_or_every(5)
def test_a_listener_killed_at_any_step_has_a_mail_whole_or_not_at_all(place: Path, apart: int) -> None:
    at = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    summary = AuditSummary("B", 0, "example.com", {"en": "Fine.", "ja": "良好です。"}, "good")
    mail = b"Subject: a\r\n\r\nb\r\n"

    def life(folder: Path, step: Step) -> int:
        stepping(step, CALLS)
        store = CaptureStore(folder)
        first = store.add(mail, None, at)
        store.audited(first.id, {"facts": {}}, summary)
        store.add(mail, None, at)
        store.delete(first.id)
        return 0

    current = [place / "0"]
    for number in killed_at_every(lambda step: life(current[0], step), apart):
        store = CaptureStore(current[0])
        for each in store:
            assert store.raw(each.id) == mail
            assert each.summary in (None, summary)
            if each.summary is not None:
                assert store.facts(each.id) == {"facts": {}}
        assert {each.name for each in current[0].iterdir()} == {each.id for each in store}, "no halves are left"
        store.add(mail, None, at)
        current[0] = place / str(number + 1)


# --- Folders that take nothing ---


READ_ONLY: dict[str, int] = {"a read-only file system": errno.EROFS, "no permission": errno.EACCES}


@pytest.mark.parametrize("why", READ_ONLY)
@pytest.mark.parametrize("name", COMMANDS)
def test_what_cannot_be_written_is_told_in_a_sentence(
    place: Path, capfd: pytest.CaptureFixture[str], name: str, why: str
) -> None:
    words, made = COMMANDS[name]
    if "over a file" in name:
        (place / made[0]).write_bytes(OLD)
    before = {each.name for each in place.iterdir()}
    code = in_child(lambda: taking_nothing(READ_ONLY[why], lambda: main(words)))
    said = capfd.readouterr()
    assert code == 2
    assert os.strerror(READ_ONLY[why]) in said.err
    assert "Traceback" not in said.err
    assert "internal error" not in said.err
    assert {each.name for each in place.iterdir()} - {f"kept.db-{end}" for end in ("wal", "shm")} == before
    if "over a file" in name:
        assert (place / made[0]).read_bytes() == OLD


def taking_nothing(number: int, work: Callable[[], None]) -> None:
    """From now on no folder of this process takes a file, and no file is opened for writing, /dev excepted."""
    opened, made, opened_by_name = os.open, os.mkdir, io.open

    def refused(path: object) -> OSError:
        return OSError(number, os.strerror(number), os.fsdecode(path) if isinstance(path, (str, bytes, Path)) else None)

    def open_(path: object, flags: int, *args: object, **kwargs: object) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and not str(path).startswith("/dev/"):
            raise refused(path)
        return opened(path, flags, *args, **kwargs)  # type: ignore[call-overload,no-any-return]

    def open_by_name(path: object, mode: str = "r", *args: object, **kwargs: object) -> object:
        if set(mode) & set("wax+") and not isinstance(path, int) and not str(path).startswith("/dev/"):
            raise refused(path)
        return opened_by_name(path, mode, *args, **kwargs)  # type: ignore[call-overload]

    def mkdir(path: object, *args: object, **kwargs: object) -> None:
        if Path(str(path)).exists() and stat.S_ISDIR(os.stat(str(path)).st_mode):  # noqa: PTH116
            made(path, *args, **kwargs)  # type: ignore[call-overload]
        raise refused(path)

    os.open, os.mkdir, io.open = open_, mkdir, open_by_name  # type: ignore[assignment]
    work()
