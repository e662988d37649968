"""Fifty questions with answers that are known from elsewhere: each is contained in the structured result."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from deliverability.api.session import Session
from deliverability.core.store.store import History
from deliverability.mcp import tools
from deliverability.mcp.tools import Toolbox
from tests import TESTS
from tests.corpus import suite
from tests.sampled import sampled
from tests.weekly.test_stories import Life

pytestmark = pytest.mark.long

QUESTIONS: list[dict[str, Any]] = yaml.safe_load((TESTS / "mcp" / "questions.yaml").read_text("utf-8"))
ZONES = sorted((TESTS / "mcp" / "corpus" / "zones").glob("*.zone"))
TYPES = ("txt", "a", "mx", "ptr")


def records() -> list[str]:
    """The DNS of rspamd's tests, as far as it has answers."""
    known = json.loads((suite("dkim", "rspamd") / "dns.json").read_text("utf-8"))
    answered = (each for each in known if each["type"] in TYPES)
    return [f"{e['name']} {e['type'].upper()} {value}" for e in answered for value in e.get("replies", ()) if value]


def session(more: Sequence[str] = ()) -> Session:
    return Session(zones=ZONES, records=[*records(), *more])


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two weekly runs of a shop; in between it publishes another DMARC record."""
    folder = tmp_path_factory.mktemp("history")
    url = f"sqlite:///{folder / 'h.db'}"
    life = Life(folder, History.open(url))
    asyncio.run(life.week())
    life.dmarc = life.dmarc.replace("p=reject", "p=none")
    asyncio.run(life.week())
    life.history.close()
    return url


@pytest.fixture(scope="module")
def box(history: str) -> Iterator[Toolbox]:
    with pytest.MonkeyPatch.context() as patch, session() as own:
        patch.setattr(tools, "MOST_A_MINUTE", 1_000)
        yield Toolbox(own, session, root=suite("dkim", "rspamd"), history=history)


def contains(found: Any, wanted: Any) -> bool:
    """Whether an answer holds what is wanted: see the head of the questions."""
    if isinstance(wanted, dict):
        if not wanted or not isinstance(found, dict):
            return bool(found == wanted)
        return all(name in found and contains(found[name], value) for name, value in wanted.items())
    if isinstance(wanted, list):
        if not wanted or not isinstance(found, list):
            return bool(found == wanted)
        return all(any(contains(each, value) for each in found) for value in wanted)
    return type(found) is type(wanted) and bool(found == wanted)


def test_there_are_fifty_and_every_tool_is_asked(box: Toolbox) -> None:
    assert len(QUESTIONS) == 50
    assert len({json.dumps([each["tool"], each["with"]]) for each in QUESTIONS}) == 50
    assert {each["tool"] for each in QUESTIONS} == {each["name"] for each in box.tools().listed}
    assert all(each["because"] and each["answer"] for each in QUESTIONS)


@pytest.mark.parametrize("question", sampled([*QUESTIONS], 3), ids=[each["ask"] for each in QUESTIONS])
async def test_the_answer_is_in_the_structured_result(box: Toolbox, question: dict[str, Any]) -> None:
    answer = await box.call(question["tool"], question["with"])
    assert not answer.failed, answer.text
    (schema,) = [each["outputSchema"] for each in box.tools().listed if each["name"] == question["tool"]]
    Draft202012Validator(schema).validate(answer.data)
    assert contains(answer.data, question["answer"]), json.dumps(answer.data, ensure_ascii=False, indent=1)
    if unwanted := question.get("without"):
        assert answer.data is not None
        assert answer.data["truncated"] is None, "what is left out cannot be absent"
        assert not {each["rule"] for each in answer.data["findings"]} & set(unwanted)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"b": None}),
        ({"a": []}, {"a": [1]}),
        ({"a": [1]}, {"a": []}),
        ({"a": {"b": 1}}, {"a": {}}),
        ({"a": True}, {"a": 1}),
        ({"a": [{"b": 1, "c": 2}, {"b": 2, "c": 1}]}, {"a": [{"b": 1, "c": 1}]}),
        (None, {"a": 1}),
    ],
)
def test_what_is_not_there_is_not_contained(found: Any, wanted: Any) -> None:
    assert not contains(found, wanted)
