"""Stored facts are read into their types, and what does not fit is told with its path."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from deliverability.cli import deliv
from deliverability.core.codec import decode_facts, encode_facts, typed
from deliverability.core.facts.spf import Spf, SpfTree
from deliverability.core.files import PACKAGE
from deliverability.demo.command import DOMAIN, MESSAGE, ZONE
from deliverability.engine.base import catalogue

LIST, RECORD = ["x"], {"a": 1}
SERVFAIL = {"unknown": "servfail"}
CODE = {"code": "other"}


@pytest.fixture(scope="module")
def saved() -> dict[str, Any]:
    """The facts of the demo as `deliv facts` saves them."""
    zone, message = PACKAGE / "demo" / ZONE, PACKAGE / "demo" / MESSAGE
    done = CliRunner().invoke(deliv, ["facts", DOMAIN, "--zone", str(zone), "--eml", str(message)])
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_what_is_saved_is_read_and_saved_again_as_it_was(saved: dict[str, Any]) -> None:
    facts = decode_facts(saved)
    assert isinstance(facts.of(Spf).tree, SpfTree)
    again = encode_facts(facts)
    assert {"facts": again["facts"], "evidence": again["evidence"]} == {name: saved[name] for name in again}


def test_every_fact_of_the_catalogue_has_a_type() -> None:
    odd: Any = {}
    untyped = [path for path in catalogue() if "[]" not in path and _accepts(path, odd)]
    assert untyped == []


def _accepts(path: str, value: Any) -> bool:
    try:
        typed(path, value)
    except ValueError:
        return False
    return True


# A place in the facts, what stands there, and what the error says.
WRONG: list[tuple[str, Any, str]] = [
    ("spf.present", "yes", 'spf.present: expected true or false, found "yes"'),
    ("spf.present", 1, "spf.present: expected true or false, found 1"),
    ("spf.present", None, "spf.present: expected true or false, found nothing"),
    ("spf.present", LIST, "spf.present: expected true or false, found a list"),
    ("spf.present", RECORD, "spf.present: expected true or false, found an object"),
    ("spf.present", CODE, "spf.present: expected true or false, found the code other"),
    ("spf.lookups", "4", 'spf.lookups: expected a whole number, found "4"'),
    ("spf.lookups", 4.5, "spf.lookups: expected a whole number, found 4.5"),
    ("spf.lookups", True, "spf.lookups: expected a whole number, found true"),
    ("traffic.own.aligned_percent", "99", 'traffic.own.aligned_percent: expected a number, found "99"'),
    ("traffic.own.aligned_percent", False, "traffic.own.aligned_percent: expected a number, found false"),
    ("spf.record", 5, "spf.record: expected text, found 5"),
    ("spf.record", LIST, "spf.record: expected text, found a list"),
    ("spf.records", "v=spf1", 'spf.records: expected a list, found "v=spf1"'),
    ("spf.records", [1], "spf.records[0]: expected text, found 1"),
    ("spf.records", ["v=spf1 -all", None], "spf.records[1]: expected text, found nothing"),
    ("spf.records", [SERVFAIL], "spf.records[0]: expected text, found unknown (servfail)"),
    ("dmarc.policy", "rejct", 'dmarc.policy: expected one of none, quarantine, reject, found "rejct"'),
    ("subject.purpose", "spam", 'subject.purpose: expected one of users, bulk, transactional, parked, found "spam"'),
    ("spf.syntax_errors", ["x"], 'spf.syntax_errors[0]: expected a code, found "x"'),
    ("spf.tree", "v=spf1", 'spf.tree: expected an object, found "v=spf1"'),
    ("spf.tree", {}, "spf.tree.domain: expected a value, found nothing"),
    ("spf.tree", {"domain": "a", "status": "odd"}, "spf.tree.status: expected one of ok, "),
    ("spf.tree", {"domain": "a", "terms": [{"text": 1}]}, "spf.tree.terms[0].text: expected text, found 1"),
    (
        "spf.tree",
        {"domain": "a", "terms": [{"text": "include:b", "tree": {"domain": 2}}]},
        "spf.tree.terms[0].tree.domain: expected text, found 2",
    ),
    ("mx.hosts", RECORD, "mx.hosts: expected a list, found an object"),
    ("mx.hosts", ["mx.example.com"], 'mx.hosts[0]: expected an object, found "mx.example.com"'),
    ("mx.hosts", [{"host": "mx.example.com"}], "mx.hosts[0].literal: expected a value, found nothing"),
    ("mx.hosts.0.host", 25, "mx.hosts[0].host: expected text, found 25"),
    ("mx.hosts.0.preference", "10", 'mx.hosts[0].preference: expected a whole number, found "10"'),
    ("mx.hosts.0.addresses", "192.0.2.1", 'mx.hosts[0].addresses: expected a list, found "192.0.2.1"'),
    ("mx.hosts.0.literal", SERVFAIL, "mx.hosts[0].literal: expected true or false, found unknown (servfail)"),
    ("dkim.signatures.0.result", "passed", "dkim.signatures[0].result: expected one of pass, fail, "),
    ("dkim.signatures.0.timestamp", "now", 'dkim.signatures[0].timestamp: expected a whole number, found "now"'),
]


@pytest.mark.parametrize(("place", "value", "told"), WRONG, ids=[f"{each[0]}-{n}" for n, each in enumerate(WRONG)])
@pytest.mark.long
def test_a_hand_made_file_is_told_where_it_is_wrong(
    saved: dict[str, Any], tmp_path: Path, place: str, value: Any, told: str
) -> None:
    document = copy.deepcopy(saved)
    _put(document["facts"], place, value)
    (tmp_path / "facts.json").write_text(json.dumps(document))
    done = CliRunner().invoke(deliv, ["judge", str(tmp_path / "facts.json")])
    assert done.exit_code == 2
    assert told in done.output
    assert "Traceback" not in done.output


def _put(facts: dict[str, Any], place: str, value: Any) -> None:
    """Put a value at a path; after it may stand the number of an item and a field of that."""
    path, number, field = place, "", ""
    if place not in facts:
        path, number, field = place.rsplit(".", 2)
    body = {"unknown": value["unknown"]} if not number and value == SERVFAIL else {"value": value}
    if number:
        facts[path]["value"][int(number)][field] = value
    else:
        facts[path] = body
