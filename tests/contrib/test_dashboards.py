"""contrib/grafana and contrib/prometheus: every query is run against what it asks, with twelve weeks of real output."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cache
from typing import Any

import promql_parser as promql
import pytest
import yaml
from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from deliverability.core.report.formats.prometheus import METRICS as AUDITED
from deliverability.core.store.store import History
from deliverability.weekly.notify.notifier import METRICS as WEEKLY
from tests import ROOT
from tests.contrib.prometheus import Prometheus, prometheus
from tests.contrib.weeks import WEEKS, Weeks, many_domains, weeks
from tests.databases import empty
from tests.sampled import sampled
from tests.weekly.test_reports import DOMAIN
from tests.weekly.test_stories import FIRST

pytestmark = pytest.mark.long

GRAFANA = ROOT / "contrib" / "grafana"
RULES = ROOT / "contrib" / "prometheus" / "deliv.rules.yml"
BOARDS = {"fleet.json": "prometheus", "domain.json": "prometheus", "traffic.json": "grafana-postgresql-datasource"}
DEMO = "sakura-shop.example"
DAY = 86_400
PANELS = {"stat", "state-timeline", "timeseries", "bargauge", "table", "row"}


class Target(Struct, frozen=True):
    """One query of a panel."""

    board: str
    panel: str
    query: str
    ranged: bool = False

    def __str__(self) -> str:
        return f"{self.board}: {self.panel.partition(' · ')[0]}"


@cache
def board(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GRAFANA / name).read_text("utf-8"))
    return found


def targets(kind: str) -> Iterator[Target]:
    field = "expr" if kind == "prometheus" else "rawSql"
    for name in (name for name, source in BOARDS.items() if source == kind):
        for panel in board(name)["panels"]:
            for each in panel.get("targets", ()):
                yield Target(name, panel["title"], each[field], each.get("range", False))


def alerts() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(RULES.read_text("utf-8"))["groups"][0]["rules"]
    return found


def with_values(query: str, domain: str) -> str:
    """With the variables of Grafana replaced, as the user chooses one domain."""
    return query.replace("$domain", domain).replace("$receiver", ".*")


EXPRESSIONS = [
    *(pytest.param(each.query, id=f"{each}: {number}") for number, each in enumerate(targets("prometheus"))),
    *(pytest.param(each["expr"], id=each["alert"]) for each in alerts()),
]


# --- without any server ---


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_is_one_that_grafana_imports(name: str) -> None:
    """What Grafana's importer and its panels need; its own schema is in no package that could be installed."""
    made = board(name)
    assert {"uid", "title", "schemaVersion", "panels", "templating", "time", "annotations"} <= set(made)
    assert "id" not in made, "the number of a database would meet another dashboard"
    assert (made["uid"], made["schemaVersion"]) == (f"deliv-{name.removesuffix('.json')}", 39)
    first = made["templating"]["list"][0]
    assert (first["type"], first["query"]) == ("datasource", BOARDS[name])
    source = {"type": BOARDS[name], "uid": "${ds}"}
    assert all(each["datasource"] == source for each in made["templating"]["list"][1:])
    panels = made["panels"]
    assert len({each["id"] for each in panels}) == len(panels)
    for each in panels:
        assert isinstance(each["title"], str)
        assert each["type"] in PANELS
        assert each["gridPos"]["x"] + each["gridPos"]["w"] <= 24
        assert all(isinstance(value, int) for value in each["gridPos"].values())
        if each["type"] == "row":
            continue
        assert each["datasource"] == source
        assert {"fieldConfig", "options", "targets", "description"} <= set(each)
        assert [target["refId"] for target in each["targets"]] == ["A", "B", "C"][: len(each["targets"])]
        assert all(target["datasource"] == source for target in each["targets"])


@pytest.mark.parametrize("name", BOARDS)
def test_panels_stand_beside_each_other(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for each in board(name)["panels"]:
        at = each["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not taken & cells, each["title"]
        taken |= cells


@pytest.mark.parametrize("name", BOARDS)
def test_titles_are_in_both_languages(name: str) -> None:
    made = board(name)
    words = [made["title"], made["description"]]
    words += [each[field] for each in made["panels"] for field in ("title", "description") if field in each]
    words += [each["label"] for each in made["templating"]["list"]]
    for each in words:
        english, _, japanese = each.partition(" · ")
        assert english.isascii(), each
        assert re.search("[ぁ-ヿ一-龯]", japanese), each


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_an_expression_parses_and_names_metrics_that_there_are(expr: str) -> None:
    promql.parse(with_values(expr, DEMO))
    assert set(re.findall(r"\bdeliv_\w+", expr)) <= {*AUDITED, *WEEKLY}


def test_every_metric_stands_in_a_dashboard_and_in_the_documentation() -> None:
    asked = " ".join(each.query for each in targets("prometheus"))
    for pages in (("docs/formats.md", "docs/weekly.md"), ("docs/ja/formats.md", "docs/ja/weekly.md")):
        told = "".join((ROOT / page).read_text("utf-8") for page in pages)
        assert {*AUDITED, *WEEKLY} <= set(re.findall(r"\bdeliv_\w+", told))
    assert {*AUDITED, *WEEKLY} == set(re.findall(r"\bdeliv_\w+", asked))


def test_an_alert_says_what_it_means_and_what_to_do_in_both_languages() -> None:
    for each in alerts():
        assert set(each["annotations"]) == {"summary", "summary_ja", "description"}
        assert each["labels"]["severity"] in ("critical", "warning", "info")
        assert "{{" in each["annotations"]["summary_ja"]


# --- Prometheus ---


@pytest.fixture(scope="module")
def twelve_weeks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weeks]:
    made = weeks(tmp_path_factory.mktemp("weeks"))
    yield made
    made.history.close()


@pytest.fixture(scope="module")
def metrics_of_demo() -> str:
    """What the command prints."""
    words = [sys.executable, "-m", "deliverability", "demo", "--format", "prometheus"]
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False).stdout


STATES = {
    "risk.example": ('deliv_verdict{{domain="{}",message="",receiver="gmail"}}', 0, 1),
    "unsure.example": ('deliv_verdict{{domain="{}",message="",receiver="gmail"}}', -1, 1),
    "near.example": ('deliv_spf_lookups{{domain="{}",message=""}}', 9, 9),
    "far.example": ('deliv_spf_lookups{{domain="{}",message=""}}', 8, 8),
    "opened.example": ('deliv_gate{{domain="{}",to="reject"}}', 0, 1),
    "open.example": ('deliv_gate{{domain="{}",to="reject"}}', 1, 1),
}
"""Domains with one series each: what it was up to yesterday, and what it is."""


def stated(now: bool) -> str:
    return "".join(f"{name.format(domain)} {(was, value)[now]}\n" for domain, (name, was, value) in STATES.items())


def shifted(metrics: str, seconds: float) -> str:
    """As if the run had been so much later."""
    return re.sub(
        r"^(deliv_\w+_timestamp_seconds\S*) (\S+)$",
        lambda found: f"{found[1]} {float(found[2]) + seconds:.0f}",
        metrics,
        flags=re.MULTILINE,
    )


def ran_at(metrics: str) -> float:
    """When the audit of these metrics was, in seconds since 1970: the demo has a date of its own, which ages."""
    found = re.search(r"^deliv_last_run_timestamp_seconds\S* (\S+)$", metrics, re.MULTILINE)
    assert found
    return float(found[1])


def at(metrics: str, second: float) -> str:
    """With a timestamp at each sample, and without comments, which may stand once only."""
    return "".join(f"{line} {second * 1000:.0f}\n" for line in metrics.splitlines() if not line.startswith("#"))


@pytest.fixture(scope="module")
def server(twelve_weeks: Weeks, metrics_of_demo: str) -> Iterator[Prometheus]:
    """One that was fed for twelve weeks, a sample a day."""
    began = time.time()
    later = began - twelve_weeks.metrics[-1][0]
    runs = [shifted(metrics, later) for _, metrics in twelve_weeks.metrics]
    demo = shifted(metrics_of_demo, began - ran_at(metrics_of_demo))
    stale = f'deliv_last_run_timestamp_seconds{{domain="stale.example",message=""}} {began - 9 * DAY}\n'
    past = "".join(
        at(demo + run + stale + stated(now=False), began - (7 * (WEEKS - week) - day) * DAY)
        for week, run in enumerate(runs[:-1], 1)
        for day in range(7)
    )
    # A sample counts for five minutes; those of eight days ago are there for two hours, however slow the tests are.
    past += "".join(at(stated(now=False), began - 8 * DAY + minutes * 60) for minutes in range(4, 120, 4))
    now = demo + runs[-1] + stale + stated(now=True)
    with prometheus(RULES, past, now) as made:
        made.wait(lambda: bool(made.series("deliv_verdict")) and bool(made.ask("alerts")["alerts"]))
        yield made


@pytest.mark.system
@pytest.mark.parametrize("target", [*targets("prometheus")], ids=str)
def test_every_panel_shows_something(server: Prometheus, target: Target) -> None:
    now = time.time()
    ranged = {"start": now - WEEKS * 7 * DAY, "end": now, "step": DAY} if target.ranged else {}
    found = [server.series(with_values(target.query, each), **ranged) for each in (DEMO, DOMAIN)]
    assert any(found)


def test_labels_that_a_query_names_are_there(twelve_weeks: Weeks, metrics_of_demo: str) -> None:
    """A label that no series has would be an empty group, not an error."""
    texts = (metrics_of_demo, *(metrics for _, metrics in twelve_weeks.metrics))
    labels = {name for each in texts for name in re.findall(r'[{,](\w+)="', each)} | {"instance"}
    for each in EXPRESSIONS:
        (expr,) = each.values
        assert isinstance(expr, str)
        for names in re.findall(r"\b(?:by|on) \(([\w, ]+)\)", expr):
            assert set(names.split(", ")) <= labels, expr
        assert set(re.findall(r"[{,] ?(\w+)=", expr)) <= labels, expr


def firing(server: Prometheus) -> set[tuple[str, ...]]:
    """Each alert with what it is about."""
    names = ("domain", "receiver", "to", "reporter")
    return {
        (each["labels"]["alertname"], *(each["labels"][name] for name in names if name in each["labels"]))
        for each in server.ask("alerts")["alerts"]
        if each["state"] == "firing"
    }


@pytest.mark.system
def test_the_rules_are_healthy_and_fire_for_what_they_are_about(server: Prometheus) -> None:
    def rules() -> list[Mapping[str, Any]]:
        return [each for group in server.ask("rules")["groups"] for each in group["rules"]]

    server.wait(lambda: all(each["health"] != "unknown" for each in rules()))
    assert {each["name"]: (each["health"], each.get("lastError", "")) for each in rules()} == {
        each["alert"]: ("ok", "") for each in alerts()
    }
    expected = {
        ("MailRefused", DEMO, "gmail"),
        ("MailAtRiskNew", "risk.example", "gmail"),
        ("DelivStale", "stale.example"),
        ("SpfNearLimit", DEMO),
        ("SpfNearLimit", "near.example"),
        ("GateOpened", "opened.example", "reject"),
        ("ReporterSilent", DOMAIN, "yahoo"),
    }
    server.wait(lambda: len(firing(server)) >= len(expected))
    assert firing(server) == expected
    for each in server.ask("alerts")["alerts"]:
        assert "<error" not in each["annotations"]["summary"] + each["annotations"]["summary_ja"]


# --- SQL ---


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.system)])
def history(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weeks]:
    if request.param == "sqlite":
        yield request.getfixturevalue("twelve_weeks")
        return
    url = request.getfixturevalue("postgresql_url")
    empty(url)
    made = weeks(tmp_path_factory.mktemp("weeks"), url)
    yield made
    made.history.close()


def with_macros(query: str, domain: str) -> str:
    """As Grafana's data source writes its macros and variables, for the ninety days of the dashboard."""
    end = FIRST + timedelta(weeks=WEEKS)
    begin = end - timedelta(days=90)
    query = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 BETWEEN '{begin:%FT%TZ}' AND '{end:%FT%TZ}'", query)
    query = re.sub(r"\$__time\((\w+)\)", r'\1 AS "time"', query)
    query = query.replace("${domain:sqlstring}", "'" + domain.replace("'", "''") + "'")
    assert "$" not in query
    return query


QUERIES = [
    *targets(BOARDS["traffic.json"]),
    Target("traffic.json", "domain", board("traffic.json")["templating"]["list"][1]["query"]),
]


def rows(made: Weeks, query: str, domain: str = DOMAIN) -> list[dict[str, Any]]:
    with made.history.reading() as connection:
        return [dict(row) for row in connection.execute(text(with_macros(query, domain))).mappings()]


@pytest.mark.parametrize("target", sampled([*QUERIES], 2), ids=str)
def test_every_query_has_rows(history: Weeks, target: Target) -> None:
    found = rows(history, target.query)
    assert found
    if "$__time(" in target.query:
        assert [str(each["time"]) for each in found] == sorted(str(each["time"]) for each in found)


@pytest.mark.parametrize("target", sampled([*QUERIES], 2), ids=str)
def test_a_domain_with_a_quote_in_its_name_finds_nothing_and_breaks_nothing(history: Weeks, target: Target) -> None:
    found = rows(history, target.query, "x'; DROP TABLE seen_verdicts; --")
    assert not found or "${domain" not in target.query


def test_the_rows_are_what_the_runs_told(history: Weeks) -> None:
    day = "SELECT * FROM deliv_traffic_daily WHERE day = '2026-11-20'"
    assert [{**each, "day": str(each["day"])} for each in rows(history, day)] == [
        {"day": "2026-11-20", "domain": DOMAIN, "own": 912, "passing": 900, "failing": 12}
        | {"unclaimed": 0, "forged": 21, "forwarded": 0, "altered": 0}
    ]
    (gate,) = rows(
        history, "SELECT DISTINCT policy, answer FROM deliv_gate WHERE run = (SELECT MAX(run) FROM deliv_gate)"
    )
    assert gate["policy"] == "quarantine"
    assert f'deliv_gate{{domain="{DOMAIN}",to="quarantine"}} {gate["answer"]}\n' in history.metrics[-1][1]
    reporters = rows(history, "SELECT reporter, last_day, days, reports FROM deliv_reporters ORDER BY reporter")
    assert [(each["reporter"], str(each["last_day"]), each["days"], each["reports"]) for each in reporters] == [
        ("google", "2026-12-20", 84, 84),
        ("microsoft", "2026-12-20", 84, 84),
        ("yahoo", "2026-12-06", 70, 70),
    ]
    counts = rows(
        history,
        "SELECT severity, COUNT(*) AS n FROM seen_findings WHERE run = 12 AND outcome = 'unmet' GROUP BY severity",
    )
    for each in counts:
        assert f'severity="{each["severity"]}"}} {each["n"]}\n' in history.metrics[-1][1]


@pytest.mark.parametrize("page", ["docs/dashboards.md", "docs/ja/dashboards.md"])
def test_the_query_of_the_documentation_finds_what_is_refused_since_the_last_run(history: Weeks, page: str) -> None:
    (query,) = re.findall(r"```sql\n(SELECT.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
    assert rows(history, query) == [], "it was refused the week before as well"
    with history.history.writing() as connection:
        begun = "UPDATE verdict_spans SET day = (SELECT day FROM deliv_runs WHERE run = 12) WHERE receiver = 'gmail'"
        connection.execute(text(begun))
    assert rows(history, query) == [{"domain": DOMAIN, "receiver": "gmail"}]
    history.history.rebuild(lambda error: pytest.fail(str(error)))
    assert rows(history, query) == []


@pytest.mark.parametrize("page", ["docs/dashboards.md", "docs/ja/dashboards.md"])
def test_the_documentation_names_the_columns_that_there_are(history: Weeks, page: str) -> None:
    told = re.findall(r"^\| `((?:seen|deliv)_\w+)` \|[^|]*\| (.*) \|$", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    assert len(told) == 7
    with history.history.reading() as connection:
        for name, columns in told:
            found = connection.execute(text(f"SELECT * FROM {name}")).keys()
            assert list(found) == re.findall(r"`(\w+)`", columns)


def test_who_may_only_read_reads_everything_and_writes_nothing(history: Weeks) -> None:
    """With the role of docs/dashboards.md."""
    with history.history.reading() as connection:
        if connection.dialect.name == "sqlite":
            pytest.skip("SQLite knows no roles")
    (grants,) = re.findall(
        r"```sql\n(CREATE ROLE.*?)```", (ROOT / "docs" / "dashboards.md").read_text("utf-8"), re.DOTALL
    )
    with history.history.writing() as connection:
        for statement in grants.split(";"):
            if statement.strip():
                connection.execute(text(statement))
        try:
            connection.execute(text("SET LOCAL ROLE grafana"))
            for each in QUERIES:
                connection.execute(text(with_macros(each.query, DOMAIN)))
            for refused in (
                "DELETE FROM verdict_spans",
                "SELECT * FROM snapshots",
                "SELECT * FROM hash_keys",
                "SELECT * FROM obs_reports",
            ):
                nested = connection.begin_nested()
                with pytest.raises(ProgrammingError, match="permission denied"):
                    connection.execute(text(refused))
                nested.rollback()
        finally:
            connection.execute(text("RESET ROLE"))
            connection.execute(text("DROP OWNED BY grafana"))
            connection.execute(text("DROP ROLE grafana"))


@pytest.fixture(scope="module")
def year_of_many(postgresql_url: str) -> Iterator[History]:
    empty(postgresql_url)
    history = History.open(postgresql_url)
    many_domains(history, 300, 52)
    yield history
    history.close()


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.parametrize("target", sampled([*QUERIES], 2), ids=str)
def test_an_index_serves_every_query(year_of_many: History, target: Target) -> None:
    """None reads a table from end to end, but that of the runs. With 10,000 domains the slowest takes 0.6 seconds."""
    with year_of_many.reading() as connection:
        plan = "\n".join(connection.execute(text("EXPLAIN " + with_macros(target.query, "d00042.example"))).scalars())
    assert "Seq Scan" not in plan.replace("Seq Scan on runs", ""), plan
