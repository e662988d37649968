"""Where test mails landed, kept alike in SQLite and PostgreSQL."""

from __future__ import annotations

from msgspec.structs import replace

from deliverability.core.store.deliveries import UNREACHABLE, SeedRow, keep_seeds, read_on, seeds_of, seeds_since
from deliverability.core.store.store import History
from deliverability.seeds.values import Folder

ROW = SeedRow(
    test="k3m9xq2pw7ab",
    mailbox="箱 " + "x" * 500,
    receiver="gmail",
    domain="example.com",
    sent="2026-11-29T08:00:00Z",
    found="2026-11-29T08:00:41Z",
    folder="spam",
    tab="",
    delay_s=41,
    auth={"spf": "pass", "dkim": "\0odd"},
    signs={"SCL": "5"},
    verdict_before="at-risk",
    rules=("ALN-001",),
)


def test_a_row_is_read_as_it_was_kept(history: History) -> None:
    open_ended = replace(ROW, mailbox="g2", delay_s=None, auth={}, signs={}, rules=(), verdict_before="")
    keep_seeds(history, [ROW, open_ended])
    found = seeds_since(history, "2026-11-29T00:00:00Z")
    assert {each.mailbox: each for each in found} == {ROW.mailbox: ROW, "g2": open_ended}
    assert seeds_since(history, "2026-11-30T00:00:00Z") == ()
    assert seeds_of(history, ("another",)) == ()
    assert {each.mailbox for each in seeds_of(history, (ROW.test, "another"))} == {"g2", ROW.mailbox}
    assert read_on(history, "2026-11-29") == {ROW.test}
    assert read_on(history, "2026-11-28") == frozenset()


def test_what_is_known_is_replaced_by_what_is_known_and_by_nothing_else(history: History) -> None:
    keep_seeds(history, [replace(ROW, folder="missing")])
    keep_seeds(history, [ROW])
    keep_seeds(history, [replace(ROW, folder=UNREACHABLE)])
    assert seeds_of(history, (ROW.test,)) == (ROW,)


def test_nothing_known_is_the_folder_that_is_unreachable() -> None:
    assert Folder.UNREACHABLE.value == UNREACHABLE
