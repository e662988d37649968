"""What makes a machine run the weekly audit: lines that cron, systemd and GitHub take as they are."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import subprocess
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from crontab import CronTab

from deliverability.cli import deliv
from deliverability.core.errors import InputError
from deliverability.weekly import schedule as source
from deliverability.weekly.schedule import (
    LOCKS,
    MARK,
    GitSource,
    ScheduleError,
    WheelSource,
    When,
    command_of,
    cron_line,
    examples,
    github_workflow,
    install,
    parse_source,
    remove,
    systemd_units,
)
from tests import ROOT
from tests.browser import require

COMMIT = "0a1b2c3d4e" * 4
PINNED = GitSource("https://git.example.com/deliv.git", COMMIT)
TOKYO = timedelta(hours=9)
ODD = Path("/home/u/it's 100% $mine/deliv.toml")


def test_the_crontab_line_is_one_that_cron_reads_back_as_the_command() -> None:
    line = cron_line(ODD, When(3, 7, 30))
    (job,) = CronTab(tab=line + "\n")
    assert str(job.slices) == "30 7 * * 3"
    assert job.comment == MARK
    assert shlex.split(job.command.replace(r"\%", "%")) == command_of(ODD)


def test_paths_are_absolute_because_cron_knows_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = command_of(Path("deliv.toml"))
    assert command[-1] == str(tmp_path / "deliv.toml")
    assert Path(command[0]).is_absolute()


def test_installing_twice_leaves_one_line_and_removing_leaves_the_others() -> None:
    tab = CronTab(tab="5 4 * * * /bin/backup # mine\n")
    other = Path("/etc/other.toml")
    install(other, When(), tab=tab)
    install(ODD, When(), tab=tab)
    install(ODD, When(day=0), tab=tab)
    rows = tab.render().strip().splitlines()
    assert [row for row in rows if "deliv.toml" in row] == [cron_line(ODD, When(day=0))]
    assert remove(ODD, tab=tab) == 1
    assert remove(ODD, tab=tab) == 0
    assert [row for row in tab.render().splitlines() if row] == [
        "5 4 * * * /bin/backup # mine",
        cron_line(other, When()),
    ]


@pytest.mark.system
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    program = require(shutil.which("systemd-analyze"), "systemd-analyze (Debian: apt install systemd)")
    config = tmp_path / "it's 100% $mine" / "deliv.toml"
    for name, text in systemd_units(config, When(0, 23, 5)).items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [program, "verify", "--man=no", *map(str, tmp_path.glob("deliv-weekly.*"))], capture_output=True, text=True
    )
    assert "deliv-weekly" not in done.stderr, done.stderr
    calendar = subprocess.run([program, "calendar", When(0, 23, 5).calendar], capture_output=True, text=True)
    assert calendar.returncode == 0, calendar.stderr


def test_percent_and_dollar_stand_for_themselves_in_systemd() -> None:
    service = systemd_units(ODD, When())["deliv-weekly.service"]
    assert f'"{ODD}"'.replace("%", "%%").replace("$", "$$") in service


def test_the_workflow_is_yaml_with_a_schedule() -> None:
    import yaml

    text = github_workflow(Path("conf/deliv.toml"), When(5, 1, 2), PINNED, TOKYO)
    workflow = yaml.safe_load(text)
    assert workflow[True]["schedule"] == [{"cron": "2 16 * * 4"}]  # YAML 1.1 reads the key `on` as true
    assert "# Thursday 16:02 UTC, which is Friday 01:02 at UTC+9\n" in text
    steps = workflow["jobs"]["weekly"]["steps"]
    assert any("deliv weekly --config deliv.toml --fail-on new" in step.get("run", "") for step in steps)
    assert any("${{ github.workspace }}" in str(step.get("env", "")) for step in steps)
    (kept,) = [step for step in steps if "cache/save" in step.get("uses", "")]
    assert kept["if"] == "always()", "a week with news fails the job, and its history counts all the same"


# --- Names that could end a line or begin another command ---

HOSTILE = (
    "a\n* * * * * rm -rf ~ #.toml",
    "a\r@reboot x.toml",
    "a\x0bb.toml",
    "a\x85b.toml",
    "a\u2028b.toml",
    "a\x1b[31m.toml",
    "a\x7f.toml",
    "a\udcff.toml",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_with_a_line_end_is_refused_everywhere(name: str) -> None:
    """Before, it made a second line of the crontab, of the unit and of the workflow."""

    def workflow(config: Path, when: When) -> str:
        return github_workflow(config, when, PINNED, TOKYO)

    def workflow_with_wheel(config: Path, when: When) -> str:
        return github_workflow(Path("deliv.toml"), when, WheelSource(str(config), "0" * 64), TOKYO)

    for make in (cron_line, systemd_units, workflow, workflow_with_wheel):
        with pytest.raises(ScheduleError, match=r"(?i)rename it") as told:
            make(Path(name), When())
        assert str(told.value).isprintable()


@pytest.mark.parametrize(
    "name",
    [
        "a: b #c.toml",
        "it's.toml",
        '"q".toml',
        "- x.toml",
        "${{ secrets.X }}.toml",
        "$(id).toml",
        "& | > x.toml",
        "会議.toml",
    ],
)
def test_other_odd_names_reach_the_workflow_as_they_are(name: str) -> None:
    import yaml

    text = github_workflow(Path(name), When(), PINNED, TOKYO)
    (command,) = [
        step["run"] for step in yaml.safe_load(text)["jobs"]["weekly"]["steps"] if "deliv weekly" in step.get("run", "")
    ]
    assert shlex.split(command) == ["deliv", "weekly", "--config", name, "--fail-on", "new"]
    assert "${{" not in command, "GitHub would put in what it stands for, quotes or not"


# --- Where a workflow gets deliv from ---


@pytest.mark.parametrize(
    ("day", "hour", "minute", "offset", "cron"),
    [
        (1, 6, 0, timedelta(hours=9), "0 21 * * 0"),
        (0, 0, 15, timedelta(hours=5, minutes=30), "45 18 * * 6"),
        (6, 22, 0, timedelta(hours=-8), "0 6 * * 0"),
        (3, 12, 0, timedelta(), "0 12 * * 3"),
    ],
)
def test_local_time_becomes_utc_with_the_day_where_that_changes(
    day: int, hour: int, minute: int, offset: timedelta, cron: str
) -> None:
    assert When(day, hour, minute).in_utc(offset).cron == cron


def wheel(path: Path, *names: str) -> str:
    """A file in the form of a wheel that holds these names; gives its digest."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "click==8.2.0 --hash=sha256:00\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def commands_of(workflow: str) -> list[list[str]]:
    import yaml

    (script,) = [
        step["run"] for step in yaml.safe_load(workflow)["jobs"]["weekly"]["steps"] if "pip install" in str(step)
    ]
    return [shlex.split(line) for line in script.splitlines()]


def test_a_commit_is_checked_out_and_everything_is_installed_by_hash() -> None:
    origin = parse_source(f"git+https://git.example.com/deliv.git@{COMMIT}", Path())
    clone, checkout, *installs = commands_of(github_workflow(Path("d.toml"), When(), origin, TOKYO))
    assert clone[:2] + clone[3:4] == ["git", "clone", "https://git.example.com/deliv.git"]
    assert checkout[-2:] == ["--detach", COMMIT]
    assert len(installs) == 3
    assert all("--require-hashes" in each or "--no-deps" in each for each in installs)
    assert all("--no-build-isolation" in each for each in installs)
    for lock in LOCKS:
        assert (ROOT / lock).is_file()


def test_a_wheel_is_compared_with_its_digest_before_anything_of_it_is_used(tmp_path: Path) -> None:
    (tmp_path / "my tools").mkdir()
    name = "my tools/deliv-0.1.0-py3-none-any.whl"
    digest = wheel(tmp_path / name, *LOCKS)
    first, unpack, *installs = commands_of(github_workflow(Path("d.toml"), When(), parse_source(name, tmp_path), TOKYO))
    assert first == ["echo", f"{digest}  {name}", "|", "sha256sum", "--check", "--strict"]
    assert unpack[0] == "unzip"
    assert {*LOCKS} < {*unpack}
    assert installs[-1][-2:] == ["--no-deps", f"./{name}"]
    assert all("--require-hashes" in each for each in installs[:-1])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("git+https://git.example.com/deliv.git@main", "'main' is not pinned"),
        ("git+https://git.example.com/deliv.git@v1.0", "is not pinned"),
        (f"git+https://git.example.com/deliv.git@{COMMIT[:12]}", "40 hexadecimal digits"),
        ("git+https://git.example.com/deliv.git", "not a pinned source"),
        (f"git+http://git.example.com/deliv.git@{COMMIT}", "not a pinned source"),
        (f"git+https://git.example.com/a b@{COMMIT}", "not a pinned source"),
        (f"git+https://git.example.com/a\nb@{COMMIT}", "not a pinned source"),
        (f"git+https://me:secret@git.example.com/deliv.git@{COMMIT}", "would be readable"),
        (f"git+https://token@git.example.com/deliv.git@{COMMIT}", "would be readable"),
        ("deliv", "is neither"),
        ("deliv==0.1.0", "is neither"),
        ("missing.whl", "no such file"),
        ("../outside.whl", "must be in your repository"),
        ("text.whl", "is not a deliv wheel"),
        ("other.whl", "is not a deliv wheel"),
    ],
)
def test_what_is_not_pinned_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "text.whl").write_text("no archive")
    wheel(tmp_path / "other.whl", "other/__init__.py")
    with pytest.raises(InputError) as told:
        parse_source(text, tmp_path)
    assert words in str(told.value)


@pytest.mark.parametrize(
    ("known", "first"),
    [
        (
            f'{{"url": "https://h/d.git", "vcs_info": {{"vcs": "git", "commit_id": "{COMMIT}"}}}}',
            f"git+https://h/d.git@{COMMIT}",
        ),
        (
            '{"url": "file:///srv/a%20b/deliv-0.1.0-py3-none-any.whl", "archive_info": {}}',
            "/srv/a b/deliv-0.1.0-py3-none-any.whl",
        ),
        ('{"url": "file:///work", "dir_info": {"editable": true}}', None),
        ("no json", None),
        (None, None),
    ],
)
def test_an_installation_that_knows_its_origin_names_it_first(
    monkeypatch: pytest.MonkeyPatch, known: str | None, first: str | None
) -> None:
    class Installed:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return known

    monkeypatch.setattr(source, "distribution", lambda name: Installed())
    assert (examples()[0] if len(examples()) == 3 else None) == first


# --- The command ---


def run(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(deliv, ["schedule", *args], standalone_mode=True)
    return done.exit_code, done.output


def test_it_prints_what_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "`deliv init DOMAIN` writes one" in run()[1]
    Path("deliv.toml").write_text("")
    assert run("--day", "friday", "--time", "23:15")[1].startswith("15 23 * * 5 ")
    assert "OnCalendar=Mon *-*-* 06:00:00" in run("--systemd")[1]
    assert run("--systemd", "-o", "units")[0] == 0
    assert sorted(each.name for each in Path("units").iterdir()) == ["deliv-weekly.service", "deliv-weekly.timer"]
    wheel(Path("deliv-1-py3-none-any.whl"), *LOCKS)
    assert re.search(r'cron: "0 \d+ \* \* [01]"', run("--github", "--source", "deliv-1-py3-none-any.whl")[1])


def test_without_a_source_there_is_no_workflow_but_both_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("deliv.toml").write_text("")
    code, output = run("--github")
    assert code == 2
    assert "\n--source git+https://" in output
    assert re.search(r"\n--source \S+\.whl", output)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--time", "25:00"), "HH:MM"),
        (("--time", "six"), "HH:MM"),
        (("--systemd", "--install"), "only with the crontab line"),
        (("--install", "--remove"), "use only one of these"),
        (("-o", "x"), "works only with --systemd"),
        (("--source", "x.whl"), "works only with --github"),
        (("--github", "--source", "deliv"), "is neither"),
    ],
)
def test_what_does_not_fit_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("deliv.toml").write_text("")
    code, output = run(*args)
    assert code != 0
    assert words in output


def test_without_a_crontab_program_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    Path("deliv.toml").write_text("")
    assert "no crontab program" in run("--install", "--yes")[1]
