"""Where the settings of a run are found, when no file is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deliverability.console.types import settings_path


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a folder in a folder, in which the user stands."""
    root = tmp_path / "repository"
    (root / ".git").mkdir(parents=True)
    (root / "mail" / "news").mkdir(parents=True)
    monkeypatch.chdir(root / "mail" / "news")
    return root


def test_a_named_file_is_taken_as_it_is(repository: Path) -> None:
    assert settings_path(Path("x.toml")) == Path("x.toml")


@pytest.mark.parametrize("name", ["deliv.toml", ".deliv.toml"])
@pytest.mark.parametrize("folder", [".", "mail"])
def test_the_nearest_file_up_to_the_root_of_the_repository_is_found(repository: Path, name: str, folder: str) -> None:
    (repository / folder / name).touch()
    assert settings_path() == repository / folder / name


def test_the_file_of_this_folder_wins_and_is_named_without_its_folder(repository: Path) -> None:
    (repository / "deliv.toml").touch()
    Path(".deliv.toml").touch()
    assert settings_path() == Path(".deliv.toml")
    Path("deliv.toml").touch()
    assert settings_path() == Path("deliv.toml")


def test_nothing_above_the_root_of_the_repository_is_read(repository: Path) -> None:
    (repository.parent / "deliv.toml").touch()
    assert settings_path() == Path("deliv.toml")


def test_outside_a_repository_only_this_folder_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deliv.toml").touch()
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path / "folder")
    assert not settings_path().is_file()


def test_a_file_above_that_belongs_to_somebody_else_is_not_read(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings name commands (`token_command`): whoever can write into a shared folder must not choose them."""
    (repository / "deliv.toml").touch()
    owner = (repository / "deliv.toml").stat().st_uid
    if owner == 0:
        os.chown(repository / "deliv.toml", 54321, -1)
        owner = 54321
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    assert settings_path() == Path("deliv.toml")
    monkeypatch.setattr(os, "getuid", lambda: owner)
    assert settings_path() == repository / "deliv.toml"


def test_a_folder_that_was_deleted_has_no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert settings_path() == Path("deliv.toml")
