"""What makes a machine run the weekly audit: lines that cron, systemd and GitHub take as they are."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from crontab import CronTab

from deliverability.cli import deliv
from deliverability.runs.weekly.schedule import (
    MARK,
    ScheduleError,
    When,
    command_of,
    cron_line,
    github_workflow,
    install,
    remove,
    systemd_units,
)
from tests.browser import require

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

    workflow = yaml.safe_load(github_workflow(Path("conf/deliv.toml"), When(5, 1, 2)))
    assert workflow[True]["schedule"] == [{"cron": "2 1 * * 5"}]  # YAML 1.1 reads the key `on` as true
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
    for make in (cron_line, systemd_units, github_workflow):
        with pytest.raises(ScheduleError, match="rename it") as told:
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

    text = github_workflow(Path(name), When())
    (command,) = [
        step["run"] for step in yaml.safe_load(text)["jobs"]["weekly"]["steps"] if "weekly" in step.get("run", "")
    ]
    assert shlex.split(command) == ["deliv", "weekly", "--config", name, "--fail-on", "new"]
    assert "${{" not in command, "GitHub would put in what it stands for, quotes or not"


# --- The command ---


def run(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(deliv, ["schedule", *args], standalone_mode=True)
    return done.exit_code, done.output


def test_it_prints_what_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "`deliv init` writes one" in run()[1]
    Path("deliv.toml").write_text("")
    assert run("--day", "friday", "--time", "23:15")[1].startswith("15 23 * * 5 ")
    assert "OnCalendar=Mon *-*-* 06:00:00" in run("--systemd")[1]
    assert run("--systemd", "-o", "units")[0] == 0
    assert sorted(each.name for each in Path("units").iterdir()) == ["deliv-weekly.service", "deliv-weekly.timer"]
    assert 'cron: "0 6 * * 1"' in run("--github")[1]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--time", "25:00"), "HH:MM"),
        (("--time", "six"), "HH:MM"),
        (("--systemd", "--install"), "are for the crontab line"),
        (("--install", "--remove"), "contradict"),
        (("-o", "x"), "goes with --systemd"),
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
