"""What is kept from run to run: as read anew, never stale, never from a file that others could write."""

from __future__ import annotations

import hashlib
import os
import pickle
import stat
from pathlib import Path

import pytest

import deliverability
from deliverability.core import cache as _cache
from deliverability.core.phrases import LANGUAGES, help_words, phrases
from deliverability.core.report.templates import load_glossary
from deliverability.core.rules.problems import RuleError, load_guide, read_guide
from deliverability.engine.rules import load_rules, read_rules, rule_folders
from tests.console.test_cli import Deliv, deliv  # noqa: F401 - a fixture

pytestmark = pytest.mark.long

RULES = rule_folders()


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of its own for each test: where it will be."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "cache" / "deliv"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "words.yaml"
    path.write_text("one")
    return path


class Reader:
    """Reads a file, and counts how often."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.times = 0

    def __call__(self) -> dict[str, str]:
        self.times += 1
        return {"text": self.path.read_text()}

    def kept(self) -> str:
        return _cache.cached("words", [self.path], self)["text"]


def only_file(place: Path, name: str = "") -> Path:
    (path,) = place.glob(f"{name}*")
    return path


def test_all_rules_are_the_same_read_or_kept(place: Path) -> None:
    read = read_rules()
    assert load_rules() == read
    kept = only_file(place, "rules-")
    assert load_rules() == read, "the second time it comes from the file"
    assert only_file(place, "rules-") == kept
    found = _cache._load(str(place), kept.name)
    assert found is not None, "what was written can be trusted and is of types of this program"
    assert found[0] == read
    assert [*found[0].rules] == [*read.rules], "in the order of the files"
    assert [*found[0].receivers] == [*read.receivers]


def test_the_guide_the_glossary_and_the_words_are_the_same_read_or_kept() -> None:
    assert load_guide(RULES) == load_guide(RULES) == read_guide(RULES)
    assert load_glossary(RULES) == load_glossary(RULES)
    for lang in LANGUAGES:
        for words in (phrases, help_words):
            words.cache_clear()
            first = words(lang)
            words.cache_clear()
            assert words(lang) == first


def test_a_file_is_read_once_until_it_changes(source: Path) -> None:
    reader = Reader(source)
    assert [reader.kept(), reader.kept()] == ["one", "one"]
    assert reader.times == 1
    source.write_text("two")
    assert [reader.kept(), reader.kept()] == ["two", "two"]
    assert reader.times == 2
    source.write_text("one")
    assert reader.kept() == "one"
    assert reader.times == 2, "what was read before is still there"


def test_edited_rules_are_read_anew(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "measures.yaml").write_text(
        (RULES[0] / "measures.yaml").read_text().replace("wide_ip4: 1", "wide_ip4: 2")
    )
    first = load_rules([folder])
    assert first.knowledge.measures != load_rules().knowledge.measures
    (folder / "measures.yaml").unlink()
    (folder / "own.yaml").write_text("[]")
    assert load_rules([folder]).knowledge.measures == load_rules().knowledge.measures
    (folder / "own.yaml").write_text("- nonsense")
    with pytest.raises(RuleError, match=r"own\.yaml:1"):
        load_rules([folder])


def test_the_check_of_rules_reads_them_whatever_is_kept(
    deliv: Deliv,  # noqa: F811
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load_rules()
    monkeypatch.setattr("deliverability.engine.rules.cached", lambda *_: pytest.fail("it was asked of the cache"))
    assert deliv("rules", "--check").code == 0


@pytest.mark.parametrize("version", ["program", "python"])
def test_another_version_reads_anew(source: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    reader = Reader(source)
    reader.kept()
    _cache._program.cache_clear()
    if version == "program":
        monkeypatch.setattr(deliverability, "__version__", "0.0.0")
    else:
        monkeypatch.setattr("sys.version", "4.0.0")
    try:
        reader.kept()
    finally:
        monkeypatch.undo()
        _cache._program.cache_clear()
    assert reader.times == 2


def test_folder_and_files_are_the_users_alone(place: Path, source: Path) -> None:
    Reader(source).kept()
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE(only_file(place).stat().st_mode) == 0o600


def spoil(path: Path, data: bytes) -> None:
    """Put other octets, with the seal that only the user can make, into a kept file."""
    key = _cache._sealing_key()
    assert key is not None
    path.write_bytes(_cache._seal(key, path.name, data) + data)


class Foreign:
    """Runs something where it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("ran",)


def evil(place: Path) -> Path:
    """The kept file, with a value that would be seen to be taken."""
    path = only_file(place)
    spoil(path, pickle.dumps({"text": "evil"}))
    return path


def others_write_folder(place: Path) -> None:
    evil(place)
    place.chmod(0o777)


def others_read_folder(place: Path) -> None:
    evil(place)
    place.chmod(0o755)


def others_write_file(place: Path) -> None:
    evil(place).chmod(0o606)


def others_read_file(place: Path) -> None:
    evil(place).chmod(0o644)


def link_to_file(place: Path) -> None:
    path = evil(place)
    moved = place.parent / "elsewhere"
    path.rename(moved)
    path.symlink_to(moved)


def link_to_folder(place: Path) -> None:
    evil(place)
    moved = place.parent / "elsewhere"
    place.rename(moved)
    place.symlink_to(moved)


def pipe(place: Path) -> None:
    path = only_file(place)
    path.unlink()
    os.mkfifo(path, 0o600)


def cut(place: Path) -> None:
    path = only_file(place)
    path.write_bytes(path.read_bytes()[:-3])


def emptied(place: Path) -> None:
    only_file(place).write_bytes(b"")


def changed(place: Path) -> None:
    path = only_file(place)
    path.write_bytes(path.read_bytes().replace(b"one", b"two"))


def sealed_by_nobody(place: Path) -> None:
    """As whoever may write to the folder could: the octets and a checksum of them."""
    data = pickle.dumps({"text": "evil"})
    for seal in (hashlib.sha256(data).digest(), hashlib.blake2b(data, digest_size=32).digest(), bytes(32)):
        only_file(place).write_bytes(seal + data)


def sealed_by_somebody_else(place: Path) -> None:
    data = pickle.dumps({"text": "evil"})
    path = only_file(place)
    path.write_bytes(_cache._seal(bytes(32), path.name, data) + data)


def of_another_name(place: Path) -> None:
    """A file that was sealed, for something else."""
    path = only_file(place)
    data = pickle.dumps({"text": "evil"})
    key = _cache._sealing_key()
    assert key is not None
    path.write_bytes(_cache._seal(key, "words-of-then", data) + data)


def without_key(place: Path) -> None:
    evil(place)
    (place.parents[1] / "state" / "deliv" / _cache.KEY_FILE).unlink()


def another_key(place: Path) -> None:
    evil(place)
    (place.parents[1] / "state" / "deliv" / _cache.KEY_FILE).write_bytes(bytes(32))


def short_key(place: Path) -> None:
    evil(place)
    (place.parents[1] / "state" / "deliv" / _cache.KEY_FILE).write_bytes(b"short")


def others_read_key(place: Path) -> None:
    evil(place)
    (place.parents[1] / "state" / "deliv" / _cache.KEY_FILE).chmod(0o644)


def no_pickle(place: Path) -> None:
    spoil(only_file(place), b"nothing that could be read")


def runs_something(place: Path) -> None:
    spoil(only_file(place), pickle.dumps(Foreign()))


@pytest.mark.parametrize(
    "tamper",
    [
        others_write_folder,
        others_read_folder,
        others_write_file,
        others_read_file,
        link_to_file,
        link_to_folder,
        pipe,
        cut,
        emptied,
        changed,
        sealed_by_nobody,
        sealed_by_somebody_else,
        of_another_name,
        without_key,
        another_key,
        short_key,
        others_read_key,
        no_pickle,
        runs_something,
    ],
)
def test_what_others_could_have_written_or_is_broken_is_not_taken(
    tamper: object, place: Path, source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    reader = Reader(source)
    reader.kept()
    assert callable(tamper)
    tamper(place)
    assert reader.kept() == "one"
    assert reader.times == 2
    assert not Path("ran").exists()
    if tamper not in (others_write_folder, others_read_folder, link_to_folder):  # in these nothing is written
        assert [reader.kept(), reader.kept(), reader.times <= 3] == ["one", "one", True], "it was written anew"


def test_what_would_be_seen_to_be_taken_is_taken_from_the_users_own_file(place: Path, source: Path) -> None:
    """Without this the test above could not fail."""
    reader = Reader(source)
    reader.kept()
    evil(place)
    assert reader.kept() == "evil"


def test_what_belongs_to_somebody_else_is_not_taken(place: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(source)
    reader.kept()
    evil(place)
    somebody = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody)
    assert reader.kept() == "one"
    assert pickle.loads(only_file(place).read_bytes()[32:]) == {"text": "evil"}, "nor is anything written there"


def test_no_folder_is_made_in_a_home_of_somebody_else(
    place: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    somebody = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody)
    assert Reader(source).kept() == "one"
    assert not place.parent.exists()


@pytest.mark.parametrize("in_the_way", ["cache", "cache/deliv"])
def test_a_folder_that_cannot_be_written_is_no_error(source: Path, tmp_path: Path, in_the_way: str) -> None:
    path = tmp_path / in_the_way
    path.parent.mkdir(exist_ok=True)
    path.write_text("a file")
    reader = Reader(source)
    assert [reader.kept(), reader.kept()] == ["one", "one"]
    assert reader.times == 2


def test_a_system_without_owners_of_files_keeps_nothing(
    place: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "geteuid")
    assert Reader(source).kept() == "one"
    assert not place.exists()


def test_a_file_that_changes_while_it_is_read_is_not_kept(place: Path, source: Path) -> None:
    def read() -> str:
        text = source.read_text()
        source.write_text("two")
        return text

    assert _cache.cached("words", [source], read) == "one"
    assert not place.exists()
    assert _cache.cached("words", [source], source.read_text) == "two"


def test_what_cannot_be_read_is_told_and_not_kept(place: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Reader(tmp_path / "nowhere.yaml").kept()
    assert not place.exists()


def test_old_values_go(place: Path, source: Path) -> None:
    for n in range(_cache.MOST_VALUES + 3):
        source.write_text(str(n))
        Reader(source).kept()
    assert len([*place.iterdir()]) == _cache.MOST_VALUES
    reader = Reader(source)
    reader.kept()
    assert reader.times == 0, "the newest is there"
