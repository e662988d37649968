"""Files that are there whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from deliverability.core.files import HALF_WRITTEN, WholeFile, move, write_whole
from tests.killed import WRITES, Step, in_child, killed_at_every, stepping, with_full_disk

pytestmark = pytest.mark.long

OLD, NEW = b"old\n", b"new\n" * 50_000
CALLS = (*WRITES, "open", "close", "fdopen")


@pytest.fixture(params=["nameless", "named"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file to write, on systems with and without nameless files."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    return tmp_path / "report.html"


def test_killed_at_any_call_the_old_file_or_the_new_one_is_there(place: Path) -> None:
    def work(step: Step) -> None:
        stepping(step, CALLS)
        write_whole(place, NEW)

    place.write_bytes(OLD)
    kills = sum(place.read_bytes() in (OLD, NEW) for _ in killed_at_every(work))
    assert kills >= 5
    assert place.read_bytes() == NEW


@pytest.mark.parametrize("octets", [0, 1, 4096, 100_000, len(NEW) - 1])
def test_on_a_full_disk_the_old_file_stays_and_nothing_else_is_there(place: Path, octets: int) -> None:
    def work() -> int:
        with_full_disk(octets)
        try:
            write_whole(place, NEW)
        except OSError as error:
            return 2 if error.errno == errno.EFBIG else 1
        return 0

    place.write_bytes(OLD)
    assert in_child(work) == 2
    assert place.read_bytes() == OLD
    assert [each.name for each in place.parent.iterdir()] == [place.name]


def test_all_is_on_the_disk_before_and_after_the_move(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def moved(self: Path, target: Path) -> Path:
        done.append("move")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", moved)
    write_whole(place, NEW)
    assert done == ["file", "move", "folder"]
    done.clear()
    move(place, place.with_name("other.html"))
    assert done == ["move", "folder"]


def test_a_private_file_is_private_from_its_first_octet(place: Path) -> None:
    old = os.umask(0)
    try:
        file = WholeFile(place, 0o600)
        assert stat.S_IMODE(os.fstat(file._file.fileno()).st_mode) == 0o600
        file.keep()
        file.drop()
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
    finally:
        os.umask(old)


def test_without_replacing_nothing_that_is_there_is_touched(place: Path) -> None:
    file = WholeFile(place)
    file.write(NEW)
    place.write_bytes(OLD)  # somebody was faster
    with pytest.raises(FileExistsError):
        file.keep(replace=False)
    file.drop()
    place.with_name("hanging").symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        write_whole(place.with_name("hanging"), NEW, replace=False)
    assert place.read_bytes() == OLD
    assert sorted(each.name for each in place.parent.iterdir()) == ["hanging", place.name]


def test_what_a_killed_process_may_leave_is_known_by_its_name(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)

    def work(step: Step) -> None:
        stepping(step, CALLS)
        write_whole(place, NEW)

    for _ in killed_at_every(work):
        for left in set(place.parent.iterdir()) - {place}:
            assert left in place.parent.glob(HALF_WRITTEN)
            left.unlink()


def test_a_device_takes_what_comes_and_says_what_is_wrong() -> None:
    write_whole(Path("/dev/null"), NEW)
    with pytest.raises(OSError, match="No space left"):
        write_whole(Path("/dev/full"), NEW)


def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    monkeypatch.setattr(os, "link", refused)
    write_whole(tmp_path / "key.pem", NEW, replace=False)
    assert (tmp_path / "key.pem").read_bytes() == NEW
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "key.pem", OLD, replace=False)
    assert [each.name for each in tmp_path.iterdir()] == ["key.pem"]
