"""The key of a history: what its digests of addresses and other words of messages are made with.

Of a history in a file it lies beside that, as ``FILE.key`` with permissions 0600: who gets a copy of the history alone,
or an export, cannot hold guesses against it. A history on a server has it in a table of its own, ``hash_keys``, as
several machines may use it; a dump that is given away should leave that table out.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from sqlalchemy import Connection, insert, select, text

from deliverability._files import private
from deliverability.history.tables import hash_keys
from deliverability.model.codes import Code
from deliverability.model.errors import InputError

OCTETS = 32
KEY_DAMAGED = Code("history-key-damaged", ("file",))


def key_file(history: Path) -> Path:
    """Where the key of a history in a file lies."""
    return history.with_name(f"{history.name}.key")


def key_beside(history: Path) -> bytes:
    """The key of a history in a file, made where there is none. Raises OSError, and InputError where it is damaged."""
    path = key_file(history)
    if not path.exists():
        # Whole or not at all, and of two processes that make one the first one's counts.
        half = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            with open(half, "xb", opener=private) as file:
                file.write(secrets.token_bytes(OCTETS))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(half, path)
        finally:
            half.unlink(missing_ok=True)
    key = path.read_bytes()
    if len(key) != OCTETS:
        raise InputError(KEY_DAMAGED(file=str(path)))
    return key


def key_within(connection: Connection) -> bytes:
    """The key of a history on a server, made where there is none, in a transaction that is to write."""
    connection.execute(text("LOCK TABLE hash_keys IN EXCLUSIVE MODE"))
    key = connection.execute(select(hash_keys.c.key)).scalar()
    if key is None:
        key = secrets.token_bytes(OCTETS)
        connection.execute(insert(hash_keys).values(id=1, key=key))
    return bytes(key)
