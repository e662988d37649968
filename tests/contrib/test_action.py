"""The action, step by step, for every event: summary, outputs, annotations, exit code and calls of GitHub's API."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT
from tests.contrib.runner import Ran, run
from tests.core.report.test_sarif import refused_by_github
from tests.sampled import sampled

pytestmark = pytest.mark.long

ZONE = """$ORIGIN one.example.
@ 60 IN SOA ns h 1 1 1 1 1
@ 60 IN NS ns
@ 60 IN MX 10 mx
mx 60 IN A 192.0.2.1
@ 60 IN TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc 60 IN TXT "v=DMARC1; p=none; rua=mailto:d@one.example"
"""

# Stands for deliv where what it says is what the test is about; what it was called with lies beside it.
STUB = """#!{python}
import json, pathlib, sys
here = pathlib.Path(__file__).parent
said = json.loads((here / "said.json").read_text())
if sys.argv[1:] == ["--version"]:
    print("deliv, version 1.0.0")
    sys.exit()
with (here / "called.jsonl").open("a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
for option, value in zip(sys.argv, sys.argv[1:]):
    ending = value.rpartition(".")[2]
    if option == "-o" and said.get(ending) is not None:
        pathlib.Path(value).write_text(said[ending])
sys.stderr.write(said["stderr"])
sys.exit(said["code"])
"""
REAL = """#!/bin/sh
exec {python} -m deliverability "$@"
"""


class Api:
    """GitHub's API of comments, on loopback."""

    def __init__(self) -> None:
        self.comments: list[dict[str, Any]] = []
        self.calls: list[tuple[str, str]] = []
        self.failing = 0
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def _answer(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else {}
                assert self.headers["Authorization"] == "Bearer ghs_secret"
                path = self.path.partition("?")[0]
                if self.command != "GET":
                    api.calls.append((self.command, path))
                if api.failing:
                    api.failing -= 1
                    self.send_response(502)
                    self.end_headers()
                    return
                found = api.answer(self.command, self.path, body)
                data = json.dumps(found).encode()
                self.send_response(204 if self.command == "DELETE" else 200)
                self.end_headers()
                if self.command != "DELETE":
                    self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - as the standard library names them

            def log_message(self, *_: Any) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        ident = path.partition("?")[0].rpartition("/")[2]
        if method == "POST":
            self.comments.append({"id": 1000 + len(self.comments), "user": {"type": "Bot"}, **body})
        elif method == "PATCH":
            next(each for each in self.comments if each["id"] == int(ident)).update(body)
        elif method == "DELETE":
            self.comments = [each for each in self.comments if each["id"] != int(ident)]
        else:
            page = int(path.rpartition("page=")[2])
            return self.comments[(page - 1) * 100 : page * 100]
        return {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    yield made
    made.server.shutdown()
    made.server.server_close()


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@one.example", "-c", "init.defaultBranch=main", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"},
    )
    return done.stdout.strip()


class Lab:
    """A checkout, and an environment in which a deliv is installed already."""

    def __init__(self, folder: Path, api: Api) -> None:
        self.api = api
        self.checkout, self.temp = folder / "checkout", folder / "temp"
        self.bin = self.temp / "deliv" / "bin"
        self.bin.mkdir(parents=True)
        (self.temp / "deliv" / "installed-from").write_text(str(ROOT))
        self.checkout.mkdir()
        git(self.checkout, "init", "--quiet")
        (self.checkout / "one.example.zone").write_text(ZONE)
        self.commit("before")
        self.base = git(self.checkout, "rev-parse", "HEAD")
        (self.checkout / "one.example.zone").write_text(ZONE + "; a remark\n")
        self.commit("after")

    def commit(self, message: str) -> None:
        git(self.checkout, "add", "--all")
        git(self.checkout, "commit", "--quiet", "--allow-empty", "-m", message)

    def program(self, text: str) -> None:
        (self.bin / "deliv").write_text(text.format(python=sys.executable))
        (self.bin / "deliv").chmod(0o755)

    def says(self, code: int = 0, stderr: str = "", **files: Any) -> None:
        said = {name: each if isinstance(each, str) else json.dumps(each) for name, each in files.items()}
        (self.bin / "said.json").write_text(json.dumps({"code": code, "stderr": stderr, **said}))
        self.program(STUB)

    @property
    def called(self) -> list[list[str]]:
        file = self.bin / "called.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def pull_request(self, repository: str = "owner/zones", **inputs: str) -> Ran:
        payload = {
            "pull_request": {
                "number": 7,
                "base": {"sha": self.base},
                "head": {"sha": git(self.checkout, "rev-parse", "HEAD"), "repo": {"full_name": repository}},
            }
        }
        return self.run("pull_request", payload, **inputs)

    def run(self, event: str, payload: Mapping[str, Any], **inputs: str) -> Ran:
        given = {name.replace("_", "-"): each for name, each in inputs.items()}
        return run(self.checkout, self.temp, event, payload, given, {"GITHUB_API_URL": self.api.url})


@pytest.fixture
def lab(tmp_path: Path, api: Api) -> Lab:
    return Lab(tmp_path, api)


def diff(worse: bool = True, after: str = "rejected", **more: Any) -> dict[str, Any]:
    verdict = {"receiver": "gmail", "before": "dns-ready", "after": after, "rules": ["SPF-003"]}
    return {"schema": "1.0", "domains": [{"name": "one.example", "worse": worse, "verdicts": [verdict], **more}]}


def sarif(text: str = "12 lookups", uri: str = "one.example.zone", many: int = 1) -> dict[str, Any]:
    place = {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": 6}}}
    each = {"ruleId": "SPF-003", "level": "error", "message": {"text": text}, "locations": [place]}
    return {"version": "2.1.0", "runs": [{"results": [each] * many}]}


WORSE: dict[str, Any] = {"code": 1, "md": "### worse at Gmail\n", "json": diff(), "sarif": sarif()}
SAME: dict[str, Any] = {"code": 0, "md": "nothing changes\n", "json": diff(False, "dns-ready"), "sarif": sarif(many=0)}


# --- the twelve events ---


def test_a_push_audits_the_domains_of_the_settings(lab: Lab) -> None:
    (lab.checkout / "deliv.toml").write_text('domains = ["one.example"]\n')
    lab.says(1, md="### F\n", json={"grade": "F"}, sarif=sarif(), html="<p>")
    done = lab.run("push", {"before": "0" * 40}, receivers="gmail icloud", lang="ja")
    (called,) = lab.called
    assert called[0] == "audit"
    assert [each for each in called if each in ("gmail", "icloud", "ja", "error")] == ["ja", "gmail", "icloud", "error"]
    assert (done.code, done.outputs["verdict"], done.outputs["exit-code"]) == (1, "findings", "1")
    assert Path(done.outputs["report-html"]).read_text() == "<p>"
    assert done.summary == "### F\n"
    assert lab.api.calls == []


def test_a_pull_request_of_the_repository_is_compared_and_commented(lab: Lab) -> None:
    lab.says(**WORSE)
    done = lab.pull_request(comment="true", advanced_security="true")
    (called,) = lab.called
    assert called[:3] == ["diff", "--lang", "en"]
    assert called[-3:] == ["--git", lab.base, "--"]
    assert (done.code, done.outputs["verdict"], done.outputs["worse"]) == (1, "worse", "true")
    assert done.outputs["deliv-version"] == "1.0.0"
    assert done.annotations("error") == ["::error file=one.example.zone,line=6,title=SPF-003::12 lookups"]
    assert lab.api.calls == [("POST", "/repos/owner/zones/issues/7/comments")]
    assert lab.api.comments[0]["body"] == "<!-- deliv:mail-check -->\n### worse at Gmail\n"
    uploaded = [inputs for name, inputs in done.used if "upload-sarif" in name]
    assert uploaded == [{"sarif_file": done.outputs["sarif-file"], "category": "deliv"}]
    assert "ghs_secret" not in done.log + done.summary + str(lab.called)


def test_a_pull_request_of_a_fork_writes_nothing(lab: Lab) -> None:
    lab.says(**WORSE)
    done = lab.pull_request("stranger/zones", comment="true", advanced_security="true")
    assert (done.code, done.outputs["verdict"]) == (1, "worse")
    assert done.summary == "### worse at Gmail\n"
    assert len(done.annotations("error")) == 1
    assert lab.api.calls == []
    assert not [name for name, _ in done.used if "upload-sarif" in name]
    assert Path(done.outputs["report-markdown"]).read_text() == "### worse at Gmail\n"


@pytest.mark.slow
def test_a_dispatch_audits_what_it_names(lab: Lab) -> None:
    lab.says(0, md="fine\n", json={}, sarif=sarif(many=0))
    done = lab.run("workflow_dispatch", {"inputs": {}}, domains="one.example two.example", online="false")
    (called,) = lab.called
    assert called[-3:] == ["--", "one.example", "two.example"]
    assert "--offline" in called
    assert (done.code, done.outputs["verdict"], done.outputs["worse"]) == (0, "ok", "false")


@pytest.mark.slow
def test_a_schedule_audits_with_the_settings_that_are_named(lab: Lab) -> None:
    lab.says(3, md="?\n", json={}, sarif=sarif(many=0))
    done = lab.run("schedule", {"schedule": "0 7 * * 1"}, config="mail/deliv.toml")
    (called,) = lab.called
    assert called[called.index("--config") + 1] == "mail/deliv.toml"
    assert (done.code, done.outputs["verdict"]) == (0, "incomplete")
    assert done.annotations("warning") == ["::warning title=deliv::Not everything could be checked; see the summary."]


def test_where_no_file_changes_nothing_is_compared_and_the_comment_goes(lab: Lab) -> None:
    lab.says(**WORSE)
    lab.base = git(lab.checkout, "rev-parse", "HEAD")
    lab.api.comments = [{"id": 5, "user": {"type": "Bot"}, "body": "<!-- deliv:mail-check -->\nold"}]
    done = lab.pull_request(comment="true", lang="ja")
    assert (done.code, done.outputs["verdict"], done.outputs["worse"], lab.called) == (0, "ok", "false", [])
    assert done.summary == "deliv：DNSレコードのファイルに変更はありません。\n"
    assert lab.api.calls == [("DELETE", "/repos/owner/zones/issues/comments/5")]


@pytest.mark.slow
def test_where_no_verdict_changes_the_comment_goes(lab: Lab) -> None:
    lab.says(**SAME)
    done = lab.pull_request(comment="true")
    assert (done.code, done.outputs["verdict"], lab.api.calls) == (0, "ok", [])
    lab.api.comments = [{"id": 5, "user": {"type": "Bot"}, "body": "<!-- deliv:mail-check -->\nold"}]
    lab.pull_request(comment="true")
    assert lab.api.calls == [("DELETE", "/repos/owner/zones/issues/comments/5")]
    assert lab.api.comments == []


@pytest.mark.slow
def test_a_report_of_two_megabytes_is_cut_where_github_would_drop_it(lab: Lab) -> None:
    report = "### worse\n\n```diff\n" + "- 長い行" * 20 + "\n" + "+ x.example TXT\n" * 120_000 + "```\n"
    lab.says(1, md=report, json=diff(), sarif=sarif("長" * 100_000, many=500))
    done = lab.pull_request(comment="true", lang="ja")
    assert 800_000 < len(done.summary.encode()) <= 900_000
    (comment,) = lab.api.comments
    assert 50_000 < len(comment["body"]) <= 60_100
    for text in (done.summary, comment["body"]):
        assert text.count("```") == 2, "the block is closed before the remark"
        assert text.endswith("全文はジョブのファイルにあります。\n")
    assert len(done.annotations("error")) == 10


def test_hostile_names_command_nothing(lab: Lab) -> None:
    (lab.checkout / "a b;$(touch pwned).zone").write_text(ZONE)
    lab.commit("hostile")
    said = "::set-output name=x::y\n  ::error::forged\n::stop-commands::zz\n::add-mask::a\n"
    text = "evil\n::error::forged\r\n::add-path::/tmp"
    lab.says(1, said, md="x\n", json=diff(), sarif=sarif(text, uri="a%0A,line=9::x"))
    done = lab.pull_request(inputs="'a b;$(touch pwned).zone'", comment="true")
    assert lab.called[0][-1] == "a b;$(touch pwned).zone"
    assert not (lab.checkout / "pwned").exists()
    (only,) = done.annotations("error")
    assert only.startswith("::error file=a%250A%2Cline=9%3A%3Ax,line=6,title=SPF-003::evil%0A::error::forged%0D%0A")
    assert done.annotations("add-mask") == done.annotations("set-output") == []


def test_with_dns_down_the_job_says_what_it_cannot_tell(lab: Lab) -> None:
    unknown = [{"owner": "one.example", "type": "TXT", "why": "no answer"}]
    lab.says(3, "", md="cannot tell\n", json=diff(False, "cannot-tell", unknown=unknown), sarif=sarif(many=0))
    done = lab.pull_request(comment="true")
    assert (done.code, done.outputs["verdict"], done.outputs["worse"]) == (0, "incomplete", "false")
    assert lab.api.comments[0]["body"].endswith("cannot tell\n")
    assert len(done.annotations("warning")) == 1


@pytest.mark.parametrize(
    ("inputs", "words"),
    sampled(
        [
            ({"fail-on": "always"}, "fail-on: use one of worse, error, never"),
            ({"lang": "fr"}, "report-lang: use one of en, ja"),
            ({"online": "yes"}, "online: use one of true, false"),
            ({"comment": "1"}, "comment: use one of true, false"),
            ({"inputs": "--config x"}, "inputs: a name cannot begin with a hyphen"),
            ({"domains": "-o x"}, "domains: a name cannot begin with a hyphen"),
            ({"inputs": "'open"}, "inputs: No closing quotation"),
            ({"receivers": "gmail;rm"}, "receivers: give ids such as gmail"),
            ({"base": "--upload-pack=x"}, "base: give a commit, a branch or a tag"),
            (
                {"base": "no-such-branch"},
                "base: no-such-branch is not in the checkout; use actions/checkout with fetch-depth: 0",
            ),
            (
                {"inputs": "plan.json one.example.zone"},
                "inputs: plan.json is not in the repository; give plans by themselves",
            ),
        ],
        4,
    ),
)
def test_bad_input_says_what_to_give(lab: Lab, inputs: dict[str, str], words: str) -> None:
    lab.says(**WORSE)
    done = lab.pull_request(**inputs)
    assert (done.code, done.outputs["verdict"], done.outputs["exit-code"]) == (2, "error", "2")
    assert done.annotations("error") == [f"::error title=deliv::{words}"]
    assert lab.called == []


def test_what_deliv_refuses_is_told(lab: Lab) -> None:
    lab.says(2, "zones.yaml:12: record name is null; write 'null': in quotes\n")
    done = lab.pull_request(comment="true")
    assert (done.code, done.outputs["verdict"]) == (2, "error")
    assert done.annotations("error") == [
        "::error title=deliv::zones.yaml:12: record name is null; write 'null': in quotes"
    ]
    assert "zones.yaml:12" in done.summary
    assert lab.api.calls == []


@pytest.mark.slow
def test_without_settings_there_is_nothing_to_audit(lab: Lab) -> None:
    lab.says(**SAME)
    done = lab.run("push", {})
    assert done.code == 2
    assert "give domains or config" in done.annotations("error")[0]
    assert lab.called == []


# What GitHub sends besides: no name, no repository, no commit may be taken for granted.
HEAD: dict[str, Any] = {"sha": "f" * 40, "repo": {"full_name": "owner/zones"}}
PAYLOADS: dict[str, tuple[str, dict[str, Any], dict[str, str], str, int]] = {
    # The event, its payload (BASE stands for the commit before), inputs, what is run ("" is nothing), the exit code.
    "a merge queue": ("merge_group", {"merge_group": {"base_sha": "BASE", "head_sha": "f" * 40}}, {}, "diff", 1),
    "a push compared with its before": ("push", {"before": "BASE"}, {"base": "BASE"}, "diff", 1),
    "the first push of a branch": ("push", {"before": "0" * 40}, {"base": "0" * 40}, "", 0),
    "the first push, audited": ("push", {"before": "0" * 40}, {"base": "0" * 40, "domains": "a.example"}, "audit", 1),
    "the first push, SHA-256": ("push", {"before": "0" * 64}, {"base": "0" * 64}, "", 0),
    "a branch that was deleted": ("delete", {"ref": "x", "ref_type": "branch"}, {"domains": "a.example"}, "audit", 1),
    "a branch that was deleted, nothing named": ("delete", {"ref": "x", "ref_type": "branch"}, {}, "", 2),
    "a commit that was pushed away": ("push", {"before": "e" * 40}, {"base": "e" * 40}, "", 2),
    "a fork that is gone": (
        "pull_request",
        {"pull_request": {"number": 7, "base": {"sha": "BASE"}, "head": {**HEAD, "repo": None}}},
        {},
        "diff",
        1,
    ),
    "a fork on behalf of the target": (
        "pull_request_target",
        {"pull_request": {"number": 7, "base": {"sha": "BASE"}, "head": HEAD}},
        {},
        "diff",
        1,
    ),
    "a number that is none": (
        "pull_request",
        {"pull_request": {"number": "7/../8", "base": {"sha": "BASE"}, "head": HEAD}},
        {},
        "diff",
        1,
    ),
    "a comment": ("issue_comment", {"issue": {"number": 7, "pull_request": {}}}, {"domains": "a.example"}, "audit", 1),
    "a review without a base": ("pull_request_review", {"pull_request": {"number": 7, "head": HEAD}}, {}, "", 2),
    "another workflow's end": ("workflow_run", {"workflow_run": {"id": 1}}, {"domains": "a.example"}, "audit", 1),
    "a payload that is a list": ("repository_dispatch", {"client_payload": []}, {"domains": "a.example"}, "audit", 1),
}


@pytest.mark.parametrize("name", sampled([*PAYLOADS], 8))
def test_every_other_event_runs_what_it_can_and_writes_nothing(lab: Lab, name: str) -> None:
    event, payload, inputs, runs, code = PAYLOADS[name]
    filled = json.loads(json.dumps([payload, inputs]).replace("BASE", lab.base))
    lab.says(**WORSE)
    done = lab.run(event, filled[0], comment="true", advanced_security="true", **filled[1])
    assert [each[0] for each in lab.called] == ([runs] if runs else [])
    assert done.code == code
    assert done.summary or done.annotations("error")
    assert lab.api.calls == []
    uploads = [used for used, _ in done.used if "upload-sarif" in used]
    assert bool(uploads) is (bool(runs) and "pull_request" not in filled[0])


@pytest.mark.slow
def test_a_rerun_changes_the_comment_in_place(lab: Lab) -> None:
    lab.says(**WORSE)
    lab.pull_request(comment="true")
    lab.pull_request(comment="true")
    assert [method for method, _ in lab.api.calls] == ["POST"], "the same text is not written again"
    lab.says(**{**WORSE, "md": "### worse at two\n"})
    lab.pull_request(comment="true")
    assert [method for method, _ in lab.api.calls] == ["POST", "PATCH"]
    assert [each["body"].splitlines()[1] for each in lab.api.comments] == ["### worse at two"]


# --- and what may lie beside ---


@pytest.mark.slow
def test_comments_of_strangers_are_left_alone(lab: Lab) -> None:
    lab.says(**WORSE)
    mark = "<!-- deliv:mail-check -->\n"
    lab.api.comments = [
        {"id": 1, "user": {"type": "User"}, "author_association": "NONE", "body": f"{mark}forged"},
        {"id": 2, "user": {"type": "Bot"}, "body": f"see {mark}"},
        {"id": 3, "user": {"type": "Bot"}, "body": "<!-- deliv:other-job -->\n"},
        *({"id": 10 + n, "user": {"type": "User"}, "body": "hello"} for n in range(150)),
        {"id": 900, "user": {"type": "Bot"}, "body": f"{mark}old"},
    ]
    lab.pull_request(comment="true")
    assert lab.api.calls == [("PATCH", "/repos/owner/zones/issues/comments/900")]


@pytest.mark.slow
def test_an_api_that_fails_costs_the_comment_and_no_more(lab: Lab) -> None:
    lab.says(**WORSE)
    lab.api.failing = 1
    assert lab.pull_request(comment="true").annotations("warning") == []
    lab.api.failing = 9
    done = lab.pull_request(comment="true")
    assert done.outputs["verdict"] == "worse"
    assert done.annotations("warning") == ["::warning title=deliv::The comment could not be written: HTTPError"]


@pytest.mark.slow
def test_a_merge_is_compared_with_its_first_parent(lab: Lab) -> None:
    """The base may be ahead of the commit that the event names; what merging changes is what counts."""
    git(lab.checkout, "checkout", "--quiet", "-b", "topic")
    (lab.checkout / "two.example.zone").write_text(ZONE.replace("one", "two"))
    lab.commit("topic")
    git(lab.checkout, "checkout", "--quiet", "main")
    lab.commit("base goes on")
    ahead = git(lab.checkout, "rev-parse", "HEAD")
    git(lab.checkout, "merge", "--quiet", "--no-ff", "-m", "merge", "topic")
    lab.says(**SAME)
    lab.pull_request()
    assert lab.called[0][-2] == ahead


@pytest.mark.slow
def test_a_plan_holds_both_sides(lab: Lab) -> None:
    (lab.checkout / "plan.json").write_text("{}")
    lab.says(**SAME)
    lab.pull_request(inputs="plan.json")
    assert lab.called[0][-2:] == ["--", "plan.json"]
    assert "--git" not in lab.called[0]


def test_a_domain_is_audited_for_real(lab: Lab) -> None:
    lab.program(REAL)
    done = lab.run("push", {}, domains="one.example", inputs="one.example.zone", fail_on="never", lang="ja")
    assert (done.code, done.outputs["verdict"]) == (0, "ok")
    log = json.loads(Path(done.outputs["sarif-file"]).read_text())["runs"][0]
    assert refused_by_github(log) == []
    assert log["results"]
    assert "one.example" in done.summary
    assert json.loads(Path(done.outputs["report-json"]).read_text())["subject"]["domain"] == "one.example"


@pytest.mark.slow
def test_a_change_is_compared_for_real(lab: Lab) -> None:
    zone = lab.checkout / "one.example.zone"
    zone.write_text(ZONE.replace("p=none", "p=rejct").replace("@ 60 IN MX 10 mx\n", ""))
    lab.commit("after")
    lab.program(REAL)
    done = lab.pull_request(online="false", comment="true", advanced_security="true")
    assert done.outputs["exit-code"] in ("1", "3"), done.log
    assert "one.example" in done.summary
    log = json.loads(Path(done.outputs["sarif-file"]).read_text())["runs"][0]
    assert refused_by_github(log) == []
    assert {each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in log["results"]} == {
        "one.example.zone"
    }
    assert lab.api.comments[0]["body"].startswith("<!-- deliv:mail-check -->\n### ")
    zone.write_text(ZONE)
    lab.commit("back again")
    lab.pull_request(online="false", comment="true")
    assert lab.api.comments == []
