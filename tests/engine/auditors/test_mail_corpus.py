"""Every mail of the corpus, sound or made to break readers, goes through the auditors of the message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deliverability.core.facts.base import Reason, Unknown
from tests.corpus import corpus, corpus_root
from tests.engine.auditors.test_message import audit
from tests.sampled import sampled

_OTHER_FILES = {".md", ".key", ".pem", ".dns"}
_CATEGORIES = ("markup", "inline_css", "style", "data_uri", "comment", "script", "text")


def _files() -> list[Path]:
    root = corpus_root()
    if root is None:
        return []
    folders = ("mails", "dkim", "bounces", "reports")
    return sorted(
        path
        for folder in folders
        for path in (root / folder).rglob("*")
        if path.is_file() and path.suffix not in _OTHER_FILES
    )


def _name(path: Path) -> str:
    root = corpus_root()
    return str(path.relative_to(root)) if root else path.name


def _octets(path: Path) -> bytes:
    return path.read_bytes()


@pytest.mark.parametrize("path", sampled(_files(), 18), ids=_name)
async def test_every_fact_of_every_file_is_stated(path: Path) -> None:
    facts = await audit(_octets(path))
    # Only the envelope may be unknown: a file without trace fields does not tell it.
    unknown = [fact for fact in facts if isinstance(fact.value, Unknown)]
    assert [fact.path for fact in unknown if not fact.path.startswith("envelope.")] == []
    assert all(fact.value.reason is Reason.NOT_CONFIGURED for fact in unknown)
    size, header, body = (facts.value(f"message.{name}_octets") for name in ("size", "header", "body"))
    assert isinstance(header, int)
    assert isinstance(body, int)
    assert size == header + body
    parts = [facts.value(f"html.{name}_octets") for name in _CATEGORIES]
    assert sum(each for each in parts if isinstance(each, int)) == facts.value("html.octets")
    for fact in facts:
        json.dumps(fact.value, ensure_ascii=False, default=str).encode("utf-8")
        assert all(each in facts.evidence for each in fact.evidence)


async def test_the_envelope_of_a_real_mail_is_read_from_its_trace() -> None:
    facts = await audit(corpus("mails", "enmime", "mail__ctype-bug.raw").read_bytes())
    assert facts.value("envelope.helo") == "mail135-10.atl141.mandrillapp.com"
    assert facts.value("envelope.ip") == "198.2.135.10"
    assert facts.value("envelope.tls") is True


async def test_crlf_and_lf_editions_of_one_mail_agree() -> None:
    folder = corpus("mails", "mikel-mail")
    crlf = await audit((folder / "plain_emails__basic_email.eml").read_bytes())
    lf = await audit((folder / "plain_emails__basic_email_lf.eml").read_bytes())
    for path in ("message.size_octets", "message.header_octets", "message.text_octets", "envelope.ip"):
        assert crlf.value(path) == lf.value(path)
