"""Sessions: one set of rules and sockets, for threads and event loops at a time."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from deliverability import (
    InputError,
    Report,
    Session,
    StaticResolver,
    audit,
    audit_async,
    evaluate_spf,
    explain,
    explain_async,
)
from tests.api.worlds import RECORDS, WORLD, ZONE

REPLY = "550-5.7.26 Unauthenticated email from example.com is not accepted due to domain's DMARC policy."


def findings(report: Report) -> list[tuple[str, str, str]]:
    return [(each.rule, each.item, each.outcome.value) for each in report.findings]


def workers() -> int:
    return sum(each.name == "deliv-session" for each in threading.enumerate())


class Counting:
    """A resolver that says how many of its questions are open at a time, and in which thread they are asked."""

    def __init__(self) -> None:
        self.open = self.most = 0
        self.threads: set[int] = set()

    async def query(self, name: str, rdtype: str) -> Any:
        self.open += 1
        self.most = max(self.most, self.open)
        self.threads.add(threading.get_ident())
        await asyncio.sleep(0.001)
        self.open -= 1
        return await WORLD.query(name, rdtype)

    async def close(self) -> None:
        raise AssertionError("it is the caller's")


def test_sync_async_and_with_a_session_say_the_same() -> None:
    once = audit("example.com", resolver=WORLD)
    waited = asyncio.run(audit_async("example.com", resolver=WORLD))
    with Session(resolver=WORLD) as session:
        kept = session.audit("example.com")
        handed = audit("example.com", session=session)
        in_loop = asyncio.run(session.audit_async("example.com"))
    assert findings(once) == findings(waited) == findings(kept) == findings(handed) == findings(in_loop)


@pytest.mark.long
def test_a_session_of_many_threads() -> None:
    before = workers()
    resolver = Counting()
    with Session(resolver=resolver) as session, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: session.audit("example.com", remedies=False), range(24)))
        assert workers() == before + 1
    assert len({tuple(findings(each)) for each in found}) == 1
    assert resolver.most > 1, "they wait for each other"
    assert len(resolver.threads) == 1
    assert workers() == before


def test_a_session_of_many_loops() -> None:
    with Session(resolver=WORLD) as session, ThreadPoolExecutor(4) as pool:

        async def several() -> list[Report]:
            return await asyncio.gather(*(session.audit_async("example.com", remedies=False) for _ in range(3)))

        found = [each for some in pool.map(lambda n: asyncio.run(several()), range(4)) for each in some]
    assert len({tuple(findings(each)) for each in found}) == 1


async def test_in_a_loop_questions_are_asked_in_that_loop() -> None:
    resolver = Counting()
    async with Session(resolver=resolver) as session:
        await session.audit_async("example.com", remedies=False)
    assert resolver.threads == {threading.get_ident()}


async def test_protocols_ask_through_a_session() -> None:
    async with Session(resolver=WORLD) as session:
        passed = await evaluate_spf("192.0.2.25", "ann@example.com", "mail.example.com", session.resolver)
    assert passed.result == "pass"


def test_closing_ends_what_waits() -> None:
    asked = threading.Event()

    class Silent:
        async def query(self, name: str, rdtype: str) -> Any:
            asked.set()
            await asyncio.Event().wait()

        async def close(self) -> None: ...

    session = Session(resolver=Silent(), timeout=600)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(session.audit, "example.com")
        assert asked.wait(600)
        session.close()
        with pytest.raises(InputError, match="the session is closed"):
            waiting.result(60)


def test_a_session_that_nobody_closes_leaves_no_thread() -> None:
    before = workers()
    session = Session(resolver=WORLD)
    session.audit("example.com", remedies=False)
    assert workers() == before + 1
    (worker,) = [each for each in threading.enumerate() if each.name == "deliv-session"][-1:]
    del session
    gc.collect()
    worker.join(60)
    assert workers() == before


def _in_child(session: Session, queue: Any) -> None:
    queue.put(session.audit("example.com", remedies=False).domain)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_has_a_worker_of_its_own() -> None:
    context = multiprocessing.get_context("fork")
    with Session(resolver=StaticResolver(RECORDS)) as session:
        session.audit("example.com", remedies=False)
        queue = context.Queue()
        child = context.Process(target=_in_child, args=(session, queue))
        child.start()
        assert queue.get(timeout=600) == "example.com"
        child.join(60)


async def test_cancelling_an_audit_cancels_its_questions() -> None:
    asked, ended = asyncio.Event(), asyncio.Event()

    class Slow:
        async def query(self, name: str, rdtype: str) -> Any:
            asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        async def close(self) -> None: ...

    task = asyncio.create_task(audit_async("example.com", resolver=Slow(), timeout=600))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(ended.wait(), 60)


def test_records_are_laid_over_what_is_published(tmp_path: Path) -> None:
    (tmp_path / "example.com.zone").write_text(ZONE)
    proposed = "_dmarc.example.com TXT v=DMARC1; p=reject"
    with Session(zones=tmp_path) as now, Session(zones=tmp_path, records=proposed) as then:
        before, after = (each.audit("example.com").to_dict() for each in (now, then))
    assert (before["run"]["sources"], after["run"]["sources"]) == (["zone"], ["zone", "with"])
    assert findings_of(before, "DMARC-") != findings_of(after, "DMARC-")


def findings_of(document: dict[str, Any], prefix: str) -> list[tuple[str, str]]:
    return [(each["rule"], each["outcome"]) for each in document["findings"] if each["rule"].startswith(prefix)]


# --- replies ---


def test_a_reply_explained() -> None:
    found = explain(REPLY)
    (reply,) = found.replies
    assert (reply.code, reply.enhanced, reply.receiver, reply.about, reply.retry) == (
        *("550", "5.7.26", "gmail", "sender", "after-fix"),
    )
    assert reply.means() == reply.means("en") != reply.means("ja")
    assert reply.todo("ja")
    assert "ALN-001" in reply.rules
    assert found.to_dict()["replies"][0]["code"] == "550"
    assert found == explain(REPLY)
    assert asyncio.run(explain_async(REPLY)) == found


def test_what_is_no_reply_says_so() -> None:
    found = explain("hello")
    assert (found.replies, found.problem) == ((), "text")
    assert explain("").problem == "empty"


def test_a_session_speaks_its_language() -> None:
    with Session(offline=True, lang="ja") as session:
        assert session.explain(REPLY).replies[0].means() == explain(REPLY).replies[0].means("ja")
        assert session.audit("example.com").findings[0].title() == audit("example.com", offline=True).findings[0].title(
            "ja"
        )


def test_an_unknown_receiver_is_told_with_those_that_are_known() -> None:
    with pytest.raises(InputError, match="gmail") as caught:
        explain(REPLY, receiver="gmial")
    assert caught.value.code == "unknown-receiver"
    with pytest.raises(InputError, match="receivers"):
        audit("example.com", resolver=WORLD, receivers=["gmial"])
    assert set(audit("example.com", resolver=WORLD, receivers="gmail").verdicts) == {"gmail"}


# --- the gate ---


def test_the_gate_without_reports_cannot_tell(tmp_path: Path) -> None:
    (tmp_path / "example.com.zone").write_text(ZONE)
    with Session(zones=tmp_path) as session:
        gate = session.gate("example.com", history=f"sqlite:///{tmp_path / 'none.db'}")
        assert (gate.domain, gate.to, gate.answer) == ("example.com", "quarantine", "cannot-tell")
        assert "example.com" in gate.text
        assert session.gate("example.com", to="reject", history=f"sqlite:///{tmp_path / 'none.db'}").to == "reject"
        assert gate.to_dict()["gates"][0]["answer"] == "cannot-tell"
