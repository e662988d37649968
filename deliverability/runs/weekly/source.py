"""Where a workflow gets deliv from: a pinned commit, or a wheel of the user's own repository with its digest.

Never by its name from a package index: whoever has that name there would run code at our users.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from msgspec import Struct

from deliverability.model.codes import Code
from deliverability.model.errors import InputError, file_error

NO_SOURCE = Code("source-unknown", ("text", "git", "wheel"))
NOT_A_COMMIT = Code("source-no-commit", ("text", "git"))
NOT_PINNED = Code("source-not-pinned", ("text",))
WITH_PASSWORD = Code("source-password")
WHEEL_OUTSIDE = Code("source-wheel-outside", ("file", "folder"))
NO_WHEEL = Code("source-no-wheel", ("file",))

LOCKS = (
    "deliverability/data/requirements-build.lock",
    "deliverability/data/requirements-run.lock",
)
"""What builds, then what runs, with their hashes, as every wheel of deliv carries them."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_EXAMPLES = ("git+https://git.example.com/deliv.git@" + "0123456789" * 4, "tools/deliv-0.1.0-py3-none-any.whl")


class GitSource(Struct, frozen=True):
    """A commit of a repository; git itself checks that the files are those of the commit."""

    url: str
    commit: str


class WheelSource(Struct, frozen=True):
    """A wheel by its path in the repository that the workflow belongs to, and its SHA-256."""

    path: str
    sha256: str


PinnedSource = GitSource | WheelSource


def parse_source(text: str, folder: Path) -> PinnedSource:
    """``git+URL@COMMIT``, or the path of a wheel below `folder`, the user's repository. Raises InputError."""
    if text.startswith("git+"):
        return _git(text)
    if text.endswith(".whl"):
        return _wheel(text, folder)
    raise InputError(NO_SOURCE(text=text, git=_EXAMPLES[0], wheel=_EXAMPLES[1]))


def examples() -> tuple[str, ...]:
    """Both forms; where this installation knows where it came from (PEP 610), that one first."""
    return (*dict.fromkeys((*own_origin(), *_EXAMPLES)),)


def own_origin() -> tuple[str, ...]:
    """The source of this installation, where it is one that can be named."""
    try:
        known = json.loads(distribution("deliv").read_text("direct_url.json") or "{}")
        url, vcs = str(known.get("url", "")), known.get("vcs_info") or {}
        if vcs.get("vcs") == "git" and _COMMIT.fullmatch(str(vcs.get("commit_id"))):
            return (f"git+{url}@{vcs['commit_id']}",)
        if url.startswith("file:") and url.endswith(".whl"):
            return (url2pathname(urlsplit(url).path),)
    except (PackageNotFoundError, ValueError, AttributeError, OSError):
        pass  # installed in another way, or by a tool that writes this file as it likes
    return ()


def _git(text: str) -> GitSource:
    url, at, commit = text.removeprefix("git+").rpartition("@")
    parts = urlsplit(url)
    if not at or parts.scheme not in ("https", "ssh") or not parts.hostname or not url.isprintable() or " " in url:
        raise InputError(NOT_A_COMMIT(text=text, git=_EXAMPLES[0]))
    if not _COMMIT.fullmatch(commit):
        raise InputError(NOT_PINNED(text=commit))
    if parts.password or (parts.scheme == "https" and parts.username):
        raise InputError(WITH_PASSWORD())
    return GitSource(url, commit)


def _wheel(text: str, folder: Path) -> WheelSource:
    path = Path(text)
    try:
        inside = (folder / path).resolve().relative_to(folder.resolve())
    except ValueError:
        raise InputError(WHEEL_OUTSIDE(file=text, folder=str(folder))) from None
    try:
        data = (folder / path).read_bytes()
        with zipfile.ZipFile(folder / path) as archive:
            for lock in LOCKS:
                archive.getinfo(lock)
    except OSError as error:
        raise InputError(file_error(text, error)) from None
    except (zipfile.BadZipFile, KeyError):
        raise InputError(NO_WHEEL(file=text)) from None
    return WheelSource(inside.as_posix(), hashlib.sha256(data).hexdigest())
