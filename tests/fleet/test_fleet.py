"""A fleet run as a whole: what it finds is what single audits find, and whatever stops it, it goes on."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import random
import shutil
import signal
import subprocess
import time
from itertools import product
from pathlib import Path

import pytest

from deliverability.core.codec import encode
from deliverability.core.errors import InputError
from deliverability.core.inputs import Subject
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.rules.judge import Selection
from deliverability.engine.audit import audited_of, document_of, gather_facts, make_report
from deliverability.engine.rules import load_rules
from deliverability.engine.stream import only_one
from deliverability.fleet.run import fleet_status
from tests.console.test_cli import Deliv, Done, deliv  # noqa: F401 - a fixture
from tests.fleet.fleets import (
    SMALL,
    Fleet,
    digest_of,
    domain,
    done_in,
    ended,
    kill_all,
    numbers,
    read_facts,
    read_findings,
    timeless,
    wait_for,
    workers_of,
)
from tests.sampled import sampled

pytestmark = pytest.mark.long

DOMAINS = 40


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return Fleet(tmp_path_factory.mktemp("fleet"), DOMAINS)


@pytest.fixture(scope="module")
def whole(fleet: Fleet) -> Path:
    """The folder of a run that nobody stopped."""
    out = fleet.folder / "whole"
    done = fleet.run(out, "--workers", "2", code=3)
    assert f"{DOMAINS} of {DOMAINS} domains audited" in done.out
    return out


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def again(deliv: Deliv, fleet: Fleet, out: Path, *more: str, code: int) -> Done:  # noqa: F811
    """The command in this process, where it has nothing to do or refuses."""
    done = deliv("fleet", "run", str(fleet.list), "--output", str(out), *fleet.options, *more)
    assert done.code == code, done
    return done


# --- what is found ---


@pytest.mark.slow
def test_the_facts_are_those_of_single_audits(fleet: Fleet, whole: Path) -> None:
    ports = open_ports(PortSettings(zones=(fleet.folder / "zones",)))
    knowledge = load_rules().knowledge

    async def single() -> list[dict]:
        return [
            document_of(await gather_facts(Subject(domain(number)), ports, knowledge=knowledge))
            for number in range(DOMAINS)
        ]

    assert [timeless(each) for each in read_facts(whole)] == [timeless(each) for each in asyncio.run(single())]


def test_the_judgements_are_those_of_reports(whole: Path) -> None:
    rules = load_rules()
    rows = list(read_findings(whole))
    assert numbers(rows) == [domain(number) for number in range(DOMAINS)], "in the order of the list"
    for row, document in zip(rows, read_facts(whole), strict=True):
        report = make_report(audited_of(document), rules, Selection())
        assert row.grade == report.assessment.grade
        assert row.verdicts == {each.receiver: each.verdict.value for each in report.verdicts}
        unmet = [(each.rule, each.item, each.fingerprint) for each in report.findings if each.outcome.value == "unmet"]
        assert [(each.rule, each.item, each.fingerprint) for each in row.findings if each.outcome == "unmet"] == unmet
        assert set(row.met) == {each.rule for each in report.findings if each.outcome.value == "met"}
        assert row.facts["spf.lookups"] == encode(report.facts.value("spf.lookups"))
        assert row.name_servers == (f"ns1.{row.domain}",)


def test_a_folder_tells_how_far_it_is(whole: Path) -> None:
    status = fleet_status(whole)
    assert (status.domains, status.done, status.left, status.running) == (DOMAINS, DOMAINS, 0, False)
    assert status.rate > 0
    assert sum(1 for row in read_findings(whole) if row.failed) == status.failed


def test_nothing_is_done_twice(fleet: Fleet, whole: Path, deliv: Deliv) -> None:  # noqa: F811
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*.gz")}
    assert f"Resuming: {DOMAINS} of {DOMAINS} domains are done" in again(deliv, fleet, whole, code=3).err
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*.gz")} == before


# --- stopped ---


def until(process: subprocess.Popen[str], told: str) -> bool:
    """Whether it says so, before it ends."""
    assert process.stderr is not None
    return any(told in line for line in process.stderr)


@pytest.mark.parametrize("seed", sampled([1, 2], 2))
def test_killed_at_any_moment_it_ends_the_same(fleet: Fleet, whole: Path, out: Path, seed: int) -> None:
    """The parent alone, or with its workers; the next run begins at once, while orphans may still breathe."""
    chance = random.Random(seed)
    kills = 0
    while True:
        process = fleet.start(out, "--workers", "2")
        if not wait_for(process, out, done_in(out) + chance.choice((0, 1))):
            ended(process, 3)
            break
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.random() * 0.5)
        if chance.random() < 0.5:
            kill_all(process)
        else:
            process.kill()
            process.communicate()
        kills += 1
        if kills == 3:
            fleet.run(out, code=3)
            break
    assert kills > 0
    assert digest_of(out) == digest_of(whole)
    assert [timeless(each) for each in read_facts(out)] == [timeless(each) for each in read_facts(whole)]
    assert not [path for path in out.rglob(".*") if path.suffix == ".part"]


@pytest.mark.slow
def test_ctrl_c_finishes_what_is_under_way_and_the_same_command_goes_on(fleet: Fleet, whole: Path, out: Path) -> None:
    go_on = out.parent / domain(DOMAINS - 1)
    process = Fleet(fleet.folder, DOMAINS, fleet.options, {"HOLD": str(go_on)}).start(out)
    assert wait_for(process, out, 1)
    process.send_signal(signal.SIGINT)
    assert until(process, "Finishing the shards (groups of domains) in progress")
    go_on.touch()
    stopped = ended(process, 3)
    assert "To resume, repeat the command" in stopped.out
    status = fleet_status(out)
    assert 0 < status.done < DOMAINS
    assert status.done % SMALL == 0
    assert f"{status.done} of {DOMAINS} domains are done" in fleet.run(out, code=3).err
    assert digest_of(out) == digest_of(whole)


@pytest.mark.slow
def test_a_second_ctrl_c_breaks_off(fleet: Fleet, whole: Path, out: Path) -> None:
    held = {"HOLD": str(out.parent / domain(DOMAINS - 1))}
    process = Fleet(fleet.folder, DOMAINS, fleet.options, held).start(out)
    assert wait_for(process, out, 1)
    process.send_signal(signal.SIGINT)
    assert until(process, "Finishing")
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert "Finished shards are kept. To resume, repeat the command." in told
    assert process.returncode == 130
    fleet.run(out, code=3)
    assert digest_of(out) == digest_of(whole)


@pytest.mark.slow
def test_a_worker_that_dies_is_told_and_its_domains_are_done_by_another(fleet: Fleet, whole: Path, out: Path) -> None:
    marker = out.parent / domain(5)
    poisoned = Fleet(fleet.folder, DOMAINS, fleet.options, {"POISON_ONCE": str(marker)})
    done = poisoned.run(out, code=3)
    assert "a worker process died on shard 1" in done.err
    assert digest_of(out) == digest_of(whole)


@pytest.mark.slow
def test_a_domain_that_kills_every_worker_costs_its_shard_only(fleet: Fleet, whole: Path, out: Path) -> None:
    poisoned = Fleet(fleet.folder, DOMAINS, fleet.options, {"POISON": domain(5)})
    done = poisoned.run(out, code=3)
    assert "died twice on shard 1" in done.err
    assert "died twice on shard 0" not in done.err
    assert fleet_status(out).done == DOMAINS - SMALL
    fleet.run(out, code=3)
    assert digest_of(out) == digest_of(whole)


def test_one_run_at_a_time(fleet: Fleet, whole: Path, deliv: Deliv) -> None:  # noqa: F811
    with only_one(whole):
        assert "another run is active here" in again(deliv, fleet, whole, code=2).err
        assert fleet_status(whole).running


def test_workers_do_not_outlive_their_parent(fleet: Fleet, out: Path) -> None:
    process = fleet.start(out)
    assert wait_for(process, out, 1)
    workers = workers_of(process)
    assert workers
    process.kill()
    process.communicate()
    for _ in range(6000):
        if not any(Path(f"/proc/{each}").exists() for each in workers):
            break
        time.sleep(0.01)
    assert not any(Path(f"/proc/{each}").exists() for each in workers)


# --- parts ---


@pytest.mark.slow
def test_parts_merged_by_copying_are_the_whole(fleet: Fleet, whole: Path, tmp_path: Path) -> None:
    merged = tmp_path / "merged"
    merged.mkdir()
    for number in (1, 2):
        part = tmp_path / f"part{number}"
        fleet.run(part, "--shard", f"{number}/2", code=3)
        status = fleet_status(part)
        assert status.left == 0
        assert 0 < status.domains < DOMAINS
        shutil.copytree(part, merged, dirs_exist_ok=True)
    assert fleet_status(merged).done == DOMAINS
    assert digest_of(merged) == digest_of(whole)
    assert numbers(read_findings(merged)) == numbers(read_findings(whole))


@pytest.mark.slow
def test_a_run_of_the_whole_goes_on_where_parts_ended(fleet: Fleet, whole: Path, out: Path) -> None:
    fleet.run(out, "--shard", "2/3", code=3)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.gz")}
    assert before
    done = fleet.run(out, code=3)
    assert "domains are done" in done.err
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert [path.name for path in out.glob("manifest*")] == ["manifest.sqlite3"]
    assert digest_of(out) == digest_of(whole)


def test_what_does_not_fit_is_refused_before_anything_is_written(
    fleet: Fleet,
    whole: Path,
    tmp_path: Path,
    out: Path,
    deliv: Deliv,  # noqa: F811
) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*.gz")}
    assert "contains a run with a different number of parts" in again(deliv, fleet, whole, "--shard", "1/2", code=2).err
    fleet.run(out, "--shard", "1/2", code=3)
    assert "contains a run with a different number of parts" in again(deliv, fleet, out, "--shard", "2/3", code=2).err
    other = Fleet(tmp_path, 2, fleet.options)
    assert "different lists" in other.run(out, "--shard", "2/2", code=2).err
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*.gz")} == before


def test_copied_files_of_different_lists_are_not_read_as_one(fleet: Fleet, whole: Path, tmp_path: Path) -> None:
    other = Fleet(tmp_path, 2, fleet.options)
    other.run(tmp_path / "out", "--shard", "2/2", code=0)
    shutil.copytree(whole, tmp_path / "out", dirs_exist_ok=True)
    with pytest.raises(InputError, match="different lists"):
        list(read_findings(tmp_path / "out"))


# --- what changes between two runs ---


def test_another_list_is_told(fleet: Fleet, whole: Path, deliv: Deliv) -> None:  # noqa: F811
    text = fleet.list.read_text()
    try:
        fleet.list.write_text("new.example\n" + text.replace(f"{domain(3)}\n", ""))
        told = again(deliv, fleet, whole, code=2).err
        assert "1 domains are new, 1 are missing, and 3 moved or have other columns" in told
        fleet.list.write_text("# a remark changes nothing\n" + text)
        again(deliv, fleet, whole, code=3)
    finally:
        fleet.list.write_text(text)


def test_other_settings_are_told(fleet: Fleet, whole: Path, tmp_path: Path, deliv: Deliv) -> None:  # noqa: F811
    offline = Fleet(fleet.folder, DOMAINS, ("--offline",))
    assert "started with other settings (--offline, --zone)" in again(deliv, offline, whole, code=2).err
    settings = tmp_path / "deliv.toml"
    settings.write_text('selectors = ["s1"]\n')
    assert "(deliv.toml)" in again(deliv, fleet, whole, "--config", str(settings), code=2).err
    settings.write_text(f'[[waiver]]\nrule = "{next(iter(load_rules().rules))}"\nreason = "accepted-risk"\n')
    assert "(deliv.toml)" in again(deliv, fleet, whole, "--config", str(settings), code=2).err


@pytest.mark.slow
def test_other_rules_judge_again_from_the_facts_kept(
    fleet: Fleet,
    whole: Path,
    out: Path,
    tmp_path: Path,
    deliv: Deliv,  # noqa: F811
) -> None:
    shutil.copytree(whole, out)
    fresh = tmp_path / "fresh"
    chosen = ("--receiver", "gmail")
    fleet.run(fresh, *chosen, code=3)
    told = again(deliv, fleet, out, *chosen, code=2).err
    assert f"{DOMAINS} domains were judged with another version" in told
    assert "--rejudge" in told
    shutil.move(fleet.folder / "zones", tmp_path / "away")  # nobody is asked
    (fleet.folder / "zones").mkdir()
    try:
        (fleet.folder / "zones" / "x.example.zone").write_text("$ORIGIN x.example.\n@ 1 SOA a. b. 1 1 1 1 1\n")
        fleet.run(out, *chosen, "--rejudge", code=3)
    finally:
        shutil.rmtree(fleet.folder / "zones")
        shutil.move(tmp_path / "away", fleet.folder / "zones")
    assert digest_of(out) == digest_of(fresh) != digest_of(whole)
    assert {tuple(row.verdicts) for row in read_findings(out)} == {("gmail",)}


WAYS = {
    "away": None,
    "empty": lambda octets: b"",
    "cut": lambda octets: octets[: len(octets) // 2],
    "garbage": lambda octets: bytes(reversed(octets)),
    "flipped": lambda octets: octets[:40] + bytes([octets[40] ^ 1]) + octets[41:],
    "no lines": lambda octets: gzip.compress(b""),
    "fewer lines": lambda octets: gzip.compress(b"".join(gzip.decompress(octets).splitlines(keepends=True)[:-1])),
    "no JSON": lambda octets: gzip.compress(b"x\n" * SMALL),
    "other JSON": lambda octets: gzip.compress(b"[]\n" * SMALL),
    "more": lambda octets: octets + gzip.compress(b"{}\n"),
}


@pytest.mark.parametrize(("kind", "way"), sampled([*product(("facts", "findings"), WAYS)], 4))
def test_a_file_that_is_not_as_it_was_written_is_named_and_not_counted(
    whole: Path,
    out: Path,
    kind: str,
    way: str,
    deliv: Deliv,  # noqa: F811
) -> None:
    shutil.copytree(whole, out)
    file = out / kind / "00001.jsonl.gz"
    change = WAYS[way]
    if change is None:
        file.unlink()
    else:
        file.write_bytes(change(file.read_bytes()))
    before = {each: each.read_bytes() for each in out.rglob("*.gz")}
    for words in (("status",), ("report",)):
        for lang in ("en", "ja"):
            done = deliv("fleet", words[0], str(out), "--lang", lang)
            assert done.code == 3, (words, done)
            assert str(file) in done.err
            assert "Traceback" not in done.err
    status = deliv("fleet", "status", str(out), "--format", "json").json
    assert (status["done"], status["left"], len(status["damaged"])) == (DOMAINS - SMALL, SMALL, 1)
    asked = deliv("fleet", "query", str(out), "SELECT count(*) FROM domains", "--format", "csv")
    assert (asked.code, asked.out.split()[-1]) == (3, str(DOMAINS - SMALL))
    if kind == "facts":
        opened = deliv("fleet", "open", str(out), domain(SMALL), "--offline")
        assert (opened.code, str(file) in opened.err, "Traceback" in opened.err) == (2, True, False)
    assert before == {each: each.read_bytes() for each in out.rglob("*.gz")}


def test_damaged_shards_are_done_again_and_no_others(fleet: Fleet, whole: Path, out: Path) -> None:
    shutil.copytree(whole, out)
    for number, change in enumerate(WAYS.values()):
        file = out / ("facts", "findings")[number % 2] / f"{number:05}.jsonl.gz"
        if change is None:
            file.unlink()
        else:
            file.write_bytes(change(file.read_bytes()))
    done = fleet.run(out, code=3)  # as some look-ups of the list fail
    assert all(f"{number:05}.jsonl.gz" in done.err for number in range(len(WAYS)))
    assert "0 of" in done.out or f"{DOMAINS} of {DOMAINS}" in done.out
    assert digest_of(out) == digest_of(whole)
    assert len(list(read_findings(out))) == DOMAINS
    assert fleet.run(out, code=3).err.count("jsonl.gz") == 0


@pytest.mark.parametrize("seed", sampled(range(40), 5))
def test_a_manifest_that_is_damaged_is_a_sentence(whole: Path, out: Path, seed: int, deliv: Deliv) -> None:  # noqa: F811
    """Wherever an octet is another one: it is told, or it was one that says nothing."""
    shutil.copytree(whole, out)
    file = out / "manifest.sqlite3"
    octets = bytearray(file.read_bytes())
    chance = random.Random(seed)
    place = chance.randrange(100) if seed < 5 else chance.choice([n for n, each in enumerate(octets) if each])
    octets[place] ^= chance.randrange(1, 256)
    file.write_bytes(octets)
    for words in (("status", str(out)), ("report", str(out)), ("open", str(out), domain(1), "--offline")):
        done = deliv("fleet", *words)
        assert done.code in (0, 1, 2, 3)
        assert "internal error" not in done.err, (place, done.err)
        if "manifest.sqlite3 is damaged" in done.err:
            assert done.code == 2


@pytest.mark.parametrize("octets", [b"", b"x", b"SQLite format 3\0", bytes(4096)])
def test_a_manifest_that_is_none(whole: Path, out: Path, octets: bytes, deliv: Deliv) -> None:  # noqa: F811
    shutil.copytree(whole, out)
    (out / "manifest.sqlite3").write_bytes(octets)
    done = deliv("fleet", "status", str(out))
    assert (done.code, done.err.count("\n")) == (2, 1)


# --- opened ---


def test_one_domain_is_opened_as_a_full_report(fleet: Fleet, whole: Path, out: Path, deliv: Deliv) -> None:  # noqa: F811
    report = out.with_suffix(".html")
    done = deliv("fleet", "open", str(whole), domain(1), "-o", str(report))
    assert done.code == 1
    assert f"{domain(1)}: " in done.err
    assert "v=spf1" in report.read_text()
    kept = deliv("fleet", "open", str(whole), domain(1), *fleet.options, "--format", "json").json
    audited = deliv("audit", domain(1), *fleet.options, "--format", "json").json
    assert kept["remedies"] == audited["remedies"]
    assert kept["remedies"]
    assert kept["findings"] == audited["findings"]


def test_remedies_are_not_drafted_where_dns_has_changed(
    fleet: Fleet,
    whole: Path,
    tmp_path: Path,
    deliv: Deliv,  # noqa: F811
) -> None:
    shutil.copytree(fleet.folder / "zones", tmp_path / "zones")
    zone = tmp_path / "zones" / f"{domain(1)}.zone"
    zone.write_text(zone.read_text().replace("p=reject", "p=none"))
    words = ("fleet", "open", str(whole), domain(1), "--zone", str(tmp_path / "zones"), "--format", "json")
    done = deliv(*words)
    assert "1 DNS answer has changed since the run" in done.err
    assert '"remedies": []' in done.out


def test_what_is_not_there_cannot_be_opened(whole: Path, out: Path, deliv: Deliv) -> None:  # noqa: F811
    assert "other.example is not in the list" in deliv("fleet", "open", str(whole), "other.example").err
    out.mkdir()
    assert "contains no fleet run" in deliv("fleet", "status", str(out)).err
