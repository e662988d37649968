"""`deliv diff` as people run it: formats, exit codes, git, mistakes, secrets; in both languages."""

from __future__ import annotations

import json
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
from click.testing import CliRunner

from deliverability.cli import deliv
from deliverability.core.errors import InputError
from tests.core.net.zones import writing
from tests.core.net.zones.test_terraform import SECRET, with_secrets
from tests.differences.test_diff import CHANGES, ZONE

STYLES = ("text", "markdown", "json", "sarif", "junit")


class Ran(NamedTuple):
    code: int
    stdout: str
    output: str


def run(*arguments: str | Path, code: int | None = None) -> Ran:
    done = CliRunner().invoke(deliv, ["diff", *map(str, arguments)], standalone_mode=False)
    error = done.exception
    if isinstance(error, click.ClickException):
        ran = Ran(error.exit_code, done.stdout, done.output + error.format_message())
    elif error is not None:
        assert isinstance(error, InputError), done.exc_info
        ran = Ran(2, done.stdout, str(error))
    else:
        ran = Ran(done.return_value, done.stdout, done.output)
    if code is not None:
        assert ran.code == code, ran.output
    return ran


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, rows in (("old", ZONE), ("new", CHANGES["a misspelt policy"])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "example.com.yaml").write_text(writing.octodns(rows))
    return tmp_path


def test_text_says_who_does_what_why_and_where(here: Path) -> None:
    text = run("old", "new", "--offline", code=1).stdout
    line = next(
        number
        for number, each in enumerate((here / "new/example.com.yaml").read_text().splitlines(), 1)
        if "rejct" in each
    )
    assert "example.com: 1 change, worse" in text
    assert f"~ _dmarc.example.com TXT   new/example.com.yaml:{line}" in text
    assert "- v=DMARC1; p=quarantine" in text
    assert "+ v=DMARC1; p=rejct" in text
    assert "DMARC-0" in text


def test_it_says_the_same_in_japanese(here: Path) -> None:
    text = run("old", "new", "--offline", "--lang", "ja", code=1).stdout
    assert "example.com：変更1件" in text
    assert "比較したもの：old→new" in text


def test_files_by_their_endings(here: Path) -> None:
    files = ["d.txt", "d.md", "d.json", "d.sarif", "d.xml"]
    run("old", "new", "--offline", *(part for each in files for part in ("-o", each)), code=1)
    assert json.loads((here / "d.json").read_text())["domains"][0]["worse"] is True
    assert (here / "d.md").read_text().startswith("### ❌ example.com")
    assert ET.parse(here / "d.xml").getroot().tag == "testsuites"


def test_an_ending_that_is_no_format_is_refused(here: Path) -> None:
    assert ".sarif" in run("old", "new", "--offline", "-o", "d.html", code=2).output


def test_sarif_that_github_takes(here: Path) -> None:
    """Every result has a location in a file, relative to the repository, with a line."""
    found = json.loads(run("old", "new", "--offline", "--format", "sarif", code=1).stdout)
    results = found["runs"][0]["results"]
    assert results
    for each in results:
        physical = each["locations"][0]["physicalLocation"]
        assert physical["artifactLocation"]["uri"] == "new/example.com.yaml"
        assert physical["region"]["startLine"] > 1
        assert each["level"] in ("error", "warning", "note", "none")
    assert "error" in {each["level"] for each in results}


def test_results_of_a_plan_stand_in_the_plan(here: Path) -> None:
    (here / "plan.json").write_text(writing.terraform("cloudflare_dns_record", ZONE, CHANGES["a misspelt policy"]))
    ran = run("plan.json", "--base", here / "old", "--format", "sarif", code=1)
    for each in json.loads(ran.stdout)["runs"][0]["results"]:
        assert each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "plan.json"


@pytest.mark.long
def test_junit_fails_where_the_exit_code_does(here: Path) -> None:
    for fail_on, code in (("worse", 1), ("error", 1), ("never", 0)):
        ran = run("old", "new", "--offline", "--format", "junit", "--fail-on", fail_on, code=code)
        root = ET.fromstring(ran.stdout)
        assert bool(root.findall(".//failure")) is (code == 1)


@pytest.mark.parametrize(("fail_on", "code"), [("worse", 3), ("error", 3), ("never", 0)])
def test_what_is_left_open_is_exit_code_3(here: Path, fail_on: str, code: int) -> None:
    own = "cloudflare_dns_record"
    old = writing.resource(own, ("_dmarc", "TXT"), ["v=DMARC1; p=quarantine"])
    left = writing.change(own, "dmarc", ["update"], old, {**old, "content": None}, {"content": True})
    (here / "plan.json").write_text(writing.plan([left]))
    ran = run("plan.json", "--base", here / "old", "--fail-on", fail_on, code=code)
    assert "known only after apply (cloudflare_dns_record.dmarc)" in " ".join(ran.stdout.split())


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.long
def test_secrets_of_a_plan_are_in_no_output(here: Path, style: str) -> None:
    (here / "plan.json").write_text(with_secrets())
    for lang in ("en", "ja"):
        ran = run("plan.json", "--base", here / "old", "--format", style, "--lang", lang)
        assert ran.code in (0, 1, 3)
        assert SECRET not in ran.output
    for arguments in (("audit", "example.com"), ("facts", "example.com")):
        audited = CliRunner().invoke(deliv, [*arguments, "--zone", "plan.json", "--zone", str(here / "old")])
        assert SECRET not in audited.output


MISTAKES: list[tuple[Sequence[str], str]] = [
    ((), "'OLD NEW|PLAN'"),
    (("old", "new", "old"), "got 3 files"),
    (("nowhere.json",), "nowhere.json"),
    (("old/example.com.yaml",), "deliv diff OLD NEW"),
    (("old", "new", "--staged"), "--git REV"),
    (("old", "new", "--base", "nowhere"), "nowhere"),
    (("old", "new", "--base", "old", "--resolver", "192.0.2.1"), "--resolver"),
    (("old", "new", "--zone-format", "toml"), "--zone-format"),
    (("old", "new", "--domain", "not a domain"), "not a domain"),
    (("old", "new", "--receiver", "nobody"), "nobody"),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES)
def test_mistakes_are_told(here: Path, arguments: Sequence[str], words: str) -> None:
    for lang in ("en", "ja"):
        ran = run(*arguments, "--lang", lang, code=2)
        assert "Traceback" not in ran.output
        if lang == "en":
            assert words.strip("'") in ran.output


def test_a_domain_can_be_named(here: Path) -> None:
    found = json.loads(run("old", "new", "--offline", "--format", "json", "--domain", "www.example.com").stdout)
    assert [each["name"] for each in found["domains"]] == ["www.example.com"]


def test_a_message_is_audited_on_both_sides(here: Path) -> None:
    (here / "mail.eml").write_text(
        "From: a@example.com\nTo: b@example.net\nSubject: x\nDate: Sat, 28 Nov 2026 10:00:00 +0000\n"
        "Message-ID: <1@example.com>\n\nHello\n"
    )
    found = json.loads(run("old", "new", "--offline", "--format", "json", "--eml", "mail.eml").stdout)
    assert [each["message"] for each in found["domains"]] == ["mail.eml"]


# --- git --------------------------------------------------------------------------------------------------------------


class Repository:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"]
        ran = subprocess.run(
            ["git", *identity, *arguments], cwd=self.folder, capture_output=True, text=True, check=True
        )
        return ran.stdout

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", "x")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    monkeypatch.chdir(tmp_path)
    found = Repository(tmp_path)
    (tmp_path / "zones").mkdir()
    (tmp_path / "zones" / "example.com.yaml").write_text(writing.octodns(ZONE))
    (tmp_path / "zones" / "example.net.yaml").write_text("'':\n  type: TXT\n  value: v=spf1 include:example.com -all\n")
    (tmp_path / "README.md").write_text("# zones\n")
    found.commit()
    return found


def changed(rows: Any) -> str:
    return writing.octodns(rows)


@pytest.mark.long
class TestGit:
    def names(self, *arguments: str) -> list[str]:
        found = json.loads(run("--git", *arguments, "--offline", "--format", "json").stdout)
        return [each["name"] for each in found["domains"]]

    def test_the_working_tree(self, repository: Repository) -> None:
        (repository.folder / "zones/example.com.yaml").write_text(changed(CHANGES["no SPF"]))
        (repository.folder / "README.md").write_text("# other\n")
        # The one that changed, and the one whose SPF leads to it.
        assert self.names("HEAD") == ["example.com", "example.net"]
        assert self.names("HEAD", "zones/") == ["example.com", "example.net"]
        assert self.names("HEAD", "zones/example.com.yaml") == ["example.com", "example.net"]
        text = run("--git", "HEAD", "--offline").stdout
        assert "zones/example.com.yaml" in text

    def test_what_is_staged(self, repository: Repository) -> None:
        zone = repository.folder / "zones/example.com.yaml"
        zone.write_text(changed(CHANGES["no policy"]))
        repository.git("add", "-A")
        zone.write_text(changed(CHANGES["no SPF"]))
        found = json.loads(run("--git", "HEAD", "--staged", "--offline", "--format", "json").stdout)
        assert [each["owner"] for each in found["domains"][0]["changes"]] == ["_dmarc.example.com"]

    def test_a_branch(self, repository: Repository) -> None:
        repository.git("checkout", "-qb", "topic")
        (repository.folder / "zones/example.com.yaml").write_text(changed(CHANGES["no DMARC"]))
        repository.commit()
        found = json.loads(run("--git", "main", "--offline", "--format", "json").stdout)
        assert found["inputs"] == ["main", "working tree"]
        assert found["domains"][0]["changes"][0]["op"] == "remove"

    def test_a_folder_with_a_file_for_each_name(self, repository: Repository) -> None:
        folder = repository.folder / "split" / "example.org."
        folder.mkdir(parents=True)
        (folder / "$example.org.yaml").write_text("'':\n  type: TXT\n  value: v=spf1 -all\n")
        (folder / "_dmarc.yaml").write_text("_dmarc:\n  type: TXT\n  value: v=DMARC1\\; p=reject\n")
        repository.commit()
        (folder / "_dmarc.yaml").write_text("_dmarc:\n  type: TXT\n  value: v=DMARC1\\; p=rejct\n")
        assert self.names("HEAD") == ["example.org"]

    def test_a_zone_that_git_does_not_know_yet(self, repository: Repository) -> None:
        (repository.folder / "zones/example.org.zone").write_text(writing.bind(ZONE, "example.org"))
        assert self.names("HEAD") == ["example.org"]

    def test_other_yaml_of_the_repository_is_no_zone(self, repository: Repository) -> None:
        for name in (".github/workflows/ci.yml", "zones/docker-compose.override.yml", "zones/settings.yaml"):
            file = repository.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("on:\n  workflow_call:\n    inputs:\n      x:\n        type: string\n")
        (repository.folder / "package.json").write_text('{"name": ')
        (repository.folder / "zones/example.com.yaml").write_text(changed(CHANGES["no DMARC"]))
        assert self.names("HEAD") == ["example.com"]

    def test_from_a_folder_below(self, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
        (repository.folder / "zones/example.com.yaml").write_text(changed(CHANGES["no DMARC"]))
        monkeypatch.chdir(repository.folder / "zones")
        assert self.names("HEAD") == ["example.com"]

    def test_an_include_is_read_as_it_was(self, repository: Repository) -> None:
        zones = repository.folder / "zones"
        (zones / "example.org.yaml").write_text("'':\n  type: TXT\n  values: !include shared.yaml\n")
        (zones / "shared.yaml").write_text("- v=spf1 -all\n")
        repository.commit()
        (zones / "shared.yaml").write_text("- v=spf1 +all\n")
        found = json.loads(run("--git", "HEAD", "--offline", "--format", "json").stdout)
        assert [(each["before"], each["after"]) for each in found["domains"][0]["changes"]] == [
            (["v=spf1 -all"], ["v=spf1 +all"])
        ]

    @pytest.mark.parametrize("rev", ["--output=x", "-p", "nothing", "", "HEAD:zones", "$(touch x)", "HEAD; touch x"])
    def test_what_is_no_revision(self, repository: Repository, rev: str) -> None:
        ran = run(f"--git={rev}", code=2)
        assert "Traceback" not in ran.output
        assert not (repository.folder / "x").exists()

    def test_nothing_that_differs(self, repository: Repository) -> None:
        assert "nothing differs from HEAD" in run("--git", "HEAD", code=2).output

    def test_nothing_runs_that_the_repository_names(self, repository: Repository) -> None:
        folder = repository.folder
        for number in range(3):
            (folder / f"zones/example{number}.org.zone").write_text(writing.bind(ZONE, f"example{number}.org"))
        (folder / ".gitattributes").write_text("* filter=x diff=x\n")
        repository.commit()
        repository.git("init", "-q", "-b", "main", "below")
        below = Repository(folder / "below")
        (below.folder / "example.info.zone").write_text(writing.bind(ZONE, "example.info"))
        below.commit()
        repository.commit()  # as a submodule
        program = folder / ".git" / "program"
        program.write_text(f'#!/bin/sh\necho "$0 $@" >> "{folder}/.git/ran"\ncat\n')
        program.chmod(0o755)
        hooks = folder / ".git" / "hooks"
        hooks.mkdir(exist_ok=True)
        for hook in ("post-index-change", "post-checkout", "reference-transaction", "query-watchman"):
            shutil.copy(program, hooks / hook)
        for place in (repository, below):
            for name in (
                *("filter.x.clean", "filter.x.smudge", "filter.x.process", "diff.x.textconv", "diff.x.command"),
                *("diff.external", "core.fsmonitor", "core.pager", "core.sshCommand", "gpg.program"),
            ):
                place.git("config", name, str(program))
        assert not (folder / ".git/ran").exists()
        zone = folder / "zones/example.com.yaml"
        same = (folder / "zones/example0.org.zone").read_text()
        (folder / "zones/example0.org.zone").write_text(same)  # of the same content, but of another time
        (below.folder / "example.info.zone").write_text(writing.bind(ZONE, "example.info") + "; other\n")
        zone.write_text(changed(CHANGES["no DMARC"]))
        before = (folder / ".git/index").read_bytes()
        assert self.names("HEAD") == ["example.com"]
        assert run("--git", "HEAD", "--staged", "--offline", code=2).output
        assert not (folder / ".git/ran").exists()
        assert (folder / ".git/index").read_bytes() == before

    def test_nothing_is_fetched(self, repository: Repository) -> None:
        """A clone without the blobs: git would fetch them, through a program that the configuration names."""
        zone = repository.folder / "zones/example.com.yaml"
        blob = repository.git("rev-parse", "HEAD:zones/example.com.yaml").strip()
        program = repository.folder / ".git" / "program"
        program.write_text(f'#!/bin/sh\ntouch "{repository.folder}/.git/ran"\n')
        program.chmod(0o755)
        for name, value in (
            ("remote.origin.url", "ssh://git.example.com/zones"),
            ("remote.origin.promisor", "true"),
            ("core.sshCommand", str(program)),
            ("extensions.partialClone", "origin"),
            ("core.repositoryFormatVersion", "1"),
        ):
            repository.git("config", name, value)
        (repository.folder / ".git/objects" / blob[:2] / blob[2:]).unlink()
        zone.write_text(changed(CHANGES["no DMARC"]))
        ran = run("--git", "HEAD", "--offline", code=2)
        assert "zones/example.com.yaml: this clone doesn't contain" in ran.output
        assert not (repository.folder / ".git/ran").exists()

    def test_what_a_commit_holds_cannot_be_replaced(self, repository: Repository) -> None:
        zone = repository.folder / "zones/example.com.yaml"
        old = repository.git("rev-parse", "HEAD:zones/example.com.yaml").strip()
        zone.write_text(changed(CHANGES["no DMARC"]))
        repository.git("replace", old, repository.git("hash-object", "-w", str(zone)).strip())
        found = json.loads(run("--git", "HEAD", "--offline", "--format", "json").stdout)
        assert found["domains"][0]["changes"][0]["op"] == "remove"

    def test_line_ends_of_windows_are_no_change(self, repository: Repository) -> None:
        zone = repository.folder / "zones/example.com.yaml"
        zone.write_bytes(zone.read_bytes().replace(b"\n", b"\r\n"))
        assert "nothing differs from HEAD" in run("--git", "HEAD", code=2).output

    def test_what_a_sparse_checkout_leaves_out_is_there(self, repository: Repository) -> None:
        repository.git("update-index", "--skip-worktree", "zones/example.com.yaml")
        (repository.folder / "zones/example.com.yaml").unlink()
        assert "nothing differs from HEAD" in run("--git", "HEAD", code=2).output
        repository.git("update-index", "--no-skip-worktree", "zones/example.com.yaml")
        assert "example.com" in run("--git", "HEAD", "--offline").output

    def test_links_and_submodules_are_no_zones(self, repository: Repository, tmp_path_factory: Any) -> None:
        outside = tmp_path_factory.mktemp("outside") / "example.org.zone"
        outside.write_text(writing.bind(ZONE, "example.org"))
        (repository.folder / "zones/example.org.zone").symlink_to(outside)
        (repository.folder / "zones/example.com.yaml").write_text(changed(CHANGES["no DMARC"]))
        assert self.names("HEAD") == ["example.com"]

    @pytest.mark.parametrize("more", [0, 1])
    def test_a_file_beyond_the_limit_is_not_read(
        self, repository: Repository, monkeypatch: pytest.MonkeyPatch, more: int
    ) -> None:
        zone = repository.folder / "zones/example.com.yaml"
        size = zone.stat().st_size
        monkeypatch.setattr("deliverability.differences.sides.MAX_MASTER", size - more)
        zone.write_text("'':\n  type: TXT\n  value: v=spf1 -all\n")
        ran = run("--git", "HEAD", "zones/example.com.yaml", "--offline")
        assert (ran.code == 2) == bool(more), ran.output

    def test_no_repository(self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = tmp_path_factory.mktemp("outside")
        monkeypatch.chdir(folder)
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
        assert run("--git", "HEAD", code=2).output
