"""`deliv dkim-keygen`: keys that sign, records that verify them, files that nobody else reads."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import dkim
import pytest
from click.testing import CliRunner, Result

from deliverability.cli import deliv
from deliverability.core.mail.reader import read
from deliverability.core.protocols.dkim.key import parse_key
from deliverability.core.protocols.dkim.verify import verify_message
from deliverability.keys import generate_ed25519, generate_rsa
from tests.signing import TableResolver

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MAIL = (
    b"From: a@example.com\r\nTo: b@example.net\r\nSubject: Picnic\r\n"
    b"Date: Tue, 24 Nov 2026 10:00:00 +0900\r\n\r\nBread.\r\n"
)


def keygen(*args: str) -> Result:
    return CliRunner().invoke(deliv, ["dkim-keygen", *args], standalone_mode=False)


def records(output: str) -> dict[str, str]:
    """Name -> record, as printed in text form."""
    lines = [line.strip() for line in output.splitlines()]
    return {
        line.removesuffix(" TXT"): following
        for line, following in pairwise(lines)
        if line.endswith(" TXT") and following.startswith("v=DKIM1")
    }


async def test_the_keys_sign_and_the_printed_records_verify(tmp_path: Path) -> None:
    result = keygen("example.com", "--selector", "s1", "--ed25519", "--output", str(tmp_path))
    assert result.exception is None
    table = records(result.output)
    assert set(table) == {"s1._domainkey.example.com", "s1-ed._domainkey.example.com"}
    pem = (tmp_path / "s1._domainkey.example.com.pem").read_bytes()
    seed = (tmp_path / "s1-ed._domainkey.example.com.seed").read_bytes()
    signed = dkim.sign(MAIL, b"s1", b"example.com", pem, include_headers=[b"from", b"subject"]) + MAIL
    signed = (
        dkim.sign(
            signed, b"s1-ed", b"example.com", seed, include_headers=[b"from"], signature_algorithm=b"ed25519-sha256"
        )
        + signed
    )
    verified = await verify_message(read(signed), TableResolver(table), NOW)
    assert [str(each.result) for each in verified] == ["pass", "pass"]


def test_pem_files_are_read_by_others(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    keygen("example.com", "--selector", "s1", "--ed25519", "--bits", "3072", "--output", str(tmp_path))
    rsa = load_pem_private_key((tmp_path / "s1._domainkey.example.com.pem").read_bytes(), None)
    assert rsa.key_size == 3072
    assert load_pem_private_key((tmp_path / "s1-ed._domainkey.example.com.pem").read_bytes(), None)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_only_the_owner_reads_the_files_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    folder = tmp_path / "keys"
    before = os.umask(umask)
    try:
        result = keygen("example.com", "--selector", "s1", "--ed25519", "--output", str(folder))
    finally:
        os.umask(before)
    assert result.exception is None
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = list(folder.iterdir())
    assert len(files) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_nothing_is_overwritten_and_nothing_half_done_is_left(tmp_path: Path) -> None:
    there = tmp_path / "s1-ed._domainkey.example.com.seed"
    there.write_text("mine")
    result = keygen("example.com", "--selector", "s1", "--ed25519", "--output", str(tmp_path))
    assert "never overwrites a key" in str(result.exception)
    assert there.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [there]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    (tmp_path / "s1._domainkey.example.com.pem").symlink_to(target)
    assert keygen("example.com", "--selector", "s1", "--output", str(tmp_path)).exception is not None
    assert not target.exists()


@pytest.mark.parametrize(
    "selector", ["../x", "a/b", "a b", "-a", "a.", "x" * 60, "s1._domainkey.example.com", "é", "a\n"]
)
def test_a_selector_that_is_no_label_is_refused(tmp_path: Path, selector: str) -> None:
    result = keygen("example.com", "--selector", selector, "--output", str(tmp_path / "keys"))
    if selector != "a\n":  # white space around it is forgiven
        assert "cannot be a selector" in str(result.exception)
        assert not (tmp_path / "keys").exists()


def test_the_default_selector_names_the_month(tmp_path: Path) -> None:
    result = keygen("example.com", "--output", str(tmp_path))
    assert f"s{datetime.now(UTC):%Y%m}._domainkey.example.com TXT" in result.output


@pytest.mark.parametrize(
    ("style", "part"),
    [
        ("zone", '3600 IN TXT "v=DKIM1; k=rsa;'),
        ("route53", '"CREATE"'),
        ("terraform", "resource"),
        ("cloudflare", "\t1\tIN"),
    ],
)
def test_forms(tmp_path: Path, style: str, part: str) -> None:
    result = keygen("example.com", "--selector", "s1", "--output", str(tmp_path), "--format", style)
    assert part in result.output


def test_the_steps_are_told_in_japanese(tmp_path: Path) -> None:
    result = keygen("example.com", "--selector", "s1", "--output", str(tmp_path), "--lang", "ja")
    assert "秘密鍵" in result.output
    assert "5. " in result.output


def test_the_private_key_is_in_no_output_and_no_repr(tmp_path: Path) -> None:
    result = keygen("example.com", "--selector", "s1", "--ed25519", "--output", str(tmp_path))
    seed = (tmp_path / "s1-ed._domainkey.example.com.seed").read_text().strip()
    assert "PRIVATE" not in result.output
    assert seed not in result.output
    assert seed not in repr(generate_ed25519())
    assert "PRIVATE" not in repr(generate_rsa(2048))


def test_records_are_keys_that_receivers_read() -> None:
    for pair in (generate_rsa(2048), generate_ed25519()):
        key = parse_key(pair.record)
        assert key.usable
        assert key.errors == ()
        assert (key.type, key.bits) == (pair.type, pair.bits)
