"""`deliv explain`: what a receiver's reply means, and whether the rules behind it are unmet now."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deliverability.cli.command import Command
from deliverability.cli.options import (
    input_options,
    lang_option,
    plain_errors,
    rule_folders_option,
    rule_problems,
    text_or_json_option,
)
from deliverability.model.codes import Code
from deliverability.model.errors import NO_SUCH_FILE, InputError, file_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deliverability.model.replies import Explanation, ReplyCatalogue
    from deliverability.model.report import Report
    from deliverability.model.rules import RuleSet
    from deliverability.words.speaker import Speaker

MAX_OCTETS = 150_000_000
NOT_QUOTED = Code("reply-not-quoted", ("text",))
REPLY_IS_FOLDER = Code("reply-is-folder", ("name",))
LOG_TOO_LARGE = Code("log-too-large", ("name", "n"))


@click.command("explain", cls=Command)
@click.argument("what", metavar="TEXT|FILE|-")
@input_options
@click.option("--receiver", metavar="ID")
@rule_folders_option
@text_or_json_option
@lang_option
def command(what: str, receiver: str | None, rules: tuple[Path, ...], style: str, lang: str, **params: Any) -> int:
    """Explain a receiver's reply: who sent it, what it means, what to do now."""
    with plain_errors():
        from deliverability.auditors import catalogue
        from deliverability.cli.inputs import STDIN_ONCE, read_settings
        from deliverability.cli.judging import UNKNOWN_RECEIVER
        from deliverability.feedback.explain import explain
        from deliverability.runs.rules import load_rules
        from deliverability.words.speaker import Speaker

        if what.isdigit() and len(what) == 3 and params["domains"]:
            words = " ".join((what, *params["domains"]))
            raise InputError(NOT_QUOTED(text=words))
        if "-" in (*params["domains"], *params["eml"]) and what == "-":
            raise InputError(STDIN_ONCE())
        data = _read(what)
        settings = read_settings(params["config"])
        folders = rules or settings.rules
        with rule_problems():
            loaded = load_rules(folders)
        known = _replies(folders, loaded)
        if receiver is not None and receiver not in known.hosts:
            raise InputError(UNKNOWN_RECEIVER(where="--receiver", name=receiver, known=tuple(sorted(known.hosts))))
        explanation = explain(data, known, loaded, receiver or "")
        if not explanation.replies and style == "text":
            _tell_problem(explanation, lang)
            return 3
        reports: list[Report] = []
        if params["domains"] or params["eml"]:
            if any(each.rules for each in explanation.replies):
                reports = _audit(params, explanation, loaded)
            else:
                _tell("no-rules", lang)
        _show(explanation, reports, Speaker(loaded, catalogue(), lang), style)
        return _exit_code(explanation, reports)


def _read(what: str) -> bytes:
    """The octets of standard input, of the file of that name, or of the text itself. Raises InputError."""
    if what == "-":
        data = sys.stdin.buffer.read(MAX_OCTETS + 1)
        return _not_too_large("standard input", data)
    if not what.strip():
        return b""
    path = Path(what)
    try:
        exists, folder = path.exists(), path.is_dir()
    except OSError:  # longer than a file name can be: it is text
        exists = folder = False
    if folder:
        raise InputError(REPLY_IS_FOLDER(name=what))
    if not exists:
        if not any(char.isspace() for char in what) and (path.suffix.lower() in _SUFFIXES or "/" in what):
            raise InputError(NO_SUCH_FILE(name=what))
        return what.encode("utf-8", "surrogateescape")
    try:
        with path.open("rb") as file:
            return _not_too_large(what, file.read(MAX_OCTETS + 1))
    except OSError as error:
        raise InputError(file_error(what, error)) from None


_SUFFIXES = frozenset({".eml", ".msg", ".txt", ".log", ".mbox", ".json", ".gz", ".html", ".csv"})


def _not_too_large(name: str, data: bytes) -> bytes:

    if len(data) > MAX_OCTETS:
        raise InputError(LOG_TOO_LARGE(name=name, n=MAX_OCTETS // 1_000_000))
    return data


def _replies(folders: Sequence[Path], rules: RuleSet) -> ReplyCatalogue:
    from deliverability.feedback.catalogue import load_replies
    from deliverability.runs.rules import rule_folders

    with rule_problems():
        return load_replies(rule_folders(folders), rules)


def _audit(params: dict[str, Any], explanation: Explanation, rules: RuleSet) -> list[Report]:
    """Judge the rules behind the replies for every subject that was given."""
    from deliverability.cli.inputs import read_inputs
    from deliverability.cli.running import run
    from deliverability.judge.engine import Selection
    from deliverability.runs.engine import make_report

    behind = tuple(dict.fromkeys(rule for each in explanation.replies for rule in each.rules))
    receivers = tuple(dict.fromkeys(each.receiver for each in explanation.replies if each.receiver in rules.receivers))
    selection = Selection(behind, (), receivers)
    return run(read_inputs(params), rules.knowledge, lambda audited: make_report(audited, rules, selection))


def _show(explanation: Explanation, reports: list[Report], speaker: Speaker, style: str) -> None:
    from deliverability.cli.output import terminal
    from deliverability.render.explanation import explanation_json, explanation_text
    from deliverability.render.paper import Paper

    if style == "json":
        text = explanation_json(explanation, reports, speaker)
    else:
        shown = terminal()
        text = explanation_text(
            explanation, reports, speaker, Paper.of_terminal(shown["width"], unicode=shown["unicode"])
        )
    click.echo(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"), nl=False)


def _tell_problem(explanation: Explanation, lang: str) -> None:
    _tell(f"problem-{explanation.problem}", lang)
    _tell("paste", lang)


def _tell(key: str, lang: str) -> None:
    """A remark on standard error; the marks around what may be copied are for renderers only."""
    from deliverability.words.sentences import phrases

    click.echo(phrases(lang)(f"explain.{key}").replace("`", ""), err=True)


def _exit_code(explanation: Explanation, reports: list[Report]) -> int:
    from deliverability.judge.replies import rules_now
    from deliverability.model.report import Outcome

    if not explanation.replies:
        return 3
    now = [
        each
        for report in reports
        for explained in explanation.replies
        for each in rules_now(report, explained.rules, explained.receiver)
    ]
    if any(each.outcome is Outcome.UNMET for each in now):
        return 1
    return 3 if any(each.outcome is Outcome.UNKNOWN and not each.waiting for each in now) else 0
