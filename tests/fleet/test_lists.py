"""What a fleet run reads: lists and tables as people and their programs write them, and what in them is told."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from deliverability.core.codes import Detail
from deliverability.core.errors import InputError
from deliverability.core.facts.base import Purpose
from deliverability.fleet.lists import FleetList
from deliverability.fleet.manifest import FleetPart, ListLine, Manifest
from deliverability.fleet.shards import FleetSubject

pytestmark = pytest.mark.long


def read(folder: Path, data: bytes | str) -> list[ListLine]:
    path = folder / "list"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    found = FleetList.of(path)
    try:
        assert len(found.raw()) == 64
        return list(found.lines())
    finally:
        found.close()


def domains(lines: list[ListLine]) -> list[str]:
    return [each.found.domain for each in lines if isinstance(each.found, FleetSubject)]


def wrong(lines: list[ListLine]) -> list[tuple[int, str]]:
    return [(each.number, each.found.code) for each in lines if isinstance(each.found, Detail)]


def test_a_list(tmp_path: Path) -> None:
    lines = read(
        tmp_path, "\ufeff# ours\n\nexample.com\r\n  Bücher.example \nnot a domain\nhttps://www.example.org/x\n"
    )
    assert domains(lines) == ["example.com", "xn--bcher-kva.example", "www.example.org"]
    assert wrong(lines) == [(5, "not-a-domain")]


def test_a_table(tmp_path: Path) -> None:
    lines = read(
        tmp_path,
        "Domain,purpose,daily_volume,selectors,customer,tier,empty\n"
        'example.com,newsletter,"12,000",s1 s2;s1,"Sample, Inc.",gold,\n'
        "\n"
        "example.org,,,,,,\n",
    )
    assert [each.found for each in lines] == [
        FleetSubject("example.com", Purpose.BULK, 12_000, ("s1", "s2"), {"customer": "Sample, Inc.", "tier": "gold"}),
        FleetSubject("example.org"),
    ]
    assert [each.number for each in lines] == [2, 4]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_as_spreadsheets_write_them(tmp_path: Path, delimiter: str, encoding: str) -> None:
    text = delimiter.join(("customer", "domain")) + "\r\n" + delimiter.join(("株式会社", "例え.jp")) + "\r\n"
    lines = read(tmp_path, text.encode(encoding))
    assert [each.found for each in lines] == [FleetSubject("xn--r8jz45g.jp", labels={"customer": "株式会社"})]


def test_a_table_of_one_column(tmp_path: Path) -> None:
    assert domains(read(tmp_path, "domain\nexample.com\n")) == ["example.com"]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (",bulk,", "not-a-domain"),
        ("example.com,spam,", "fleet-no-purpose"),
        ("example.com,,many", "fleet-no-volume"),
        ("example.com,,-5", "fleet-no-volume"),
        ("example.com,,5,over", "fleet-cells-over"),
        ('example.com,"not closed', "fleet-line-broken"),
        ("example.com," + "x" * 200_000, "fleet-no-purpose"),
    ],
)
def test_a_line_that_cannot_be_used_is_told_and_the_others_are_read(tmp_path: Path, row: str, code: str) -> None:
    lines = read(tmp_path, f"domain,purpose,daily_volume\nfirst.example,,\n{row}\nlast.example,,\n")
    assert code in [each for _, each in wrong(lines)]
    assert domains(lines)[0] == "first.example"
    assert domains(lines)[-1] == "last.example"


@pytest.mark.parametrize(
    ("head", "told"),
    [("name,tier", "including `domain`"), ("domain,tier,tier", "two columns named tier")],
)
def test_a_table_without_the_columns_it_needs_is_refused(tmp_path: Path, head: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read(tmp_path, f"{head}\nexample.com,a\n")


@pytest.mark.parametrize("data", [b"", b"\n\n", b"# nothing\n", b"\xff\xfe\x00\x00\x80", b"\x00" * 50, b"\xe9.com\n"])
def test_octets_that_are_no_list_do_no_harm(tmp_path: Path, data: bytes) -> None:
    assert domains(read(tmp_path, data)) == []


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        FleetList.of(tmp_path / "none")


def test_lists_of_any_length_are_streamed(tmp_path: Path) -> None:
    """Into the manifest, where duplicates are told apart; a line without an end is no exception."""

    def peak(lines: int) -> int:
        path = tmp_path / f"list{lines}"
        with path.open("w") as file:
            file.writelines(f"d{number % (lines - 1)}.example\n" for number in range(lines))
            file.write("x" * 200 * lines)
        manifest = Manifest(tmp_path, FleetPart(1, lines))
        found = FleetList.of(path)
        tracemalloc.start()
        try:
            manifest.begin(found.lines(), found.raw(), {})
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            assert (manifest.domains, manifest.duplicates, len(list(manifest.refused()))) == (lines - 1, 1, 1)
            manifest.close()
            found.close()

    small, large = peak(500), peak(5000)
    assert large < small * 1.5
