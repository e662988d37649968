"""`deliv explain`: what a receiver's reply means, and whether the rules behind it are unmet now."""

from __future__ import annotations

import errno
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deliverability.console.command import Command
from deliverability.console.inputs import STDIN_ONCE, read_inputs, read_settings
from deliverability.console.judging import UNKNOWN_RECEIVER, run
from deliverability.console.options import (
    input_options,
    lang_option,
    rule_folders_option,
    text_or_json_option,
)
from deliverability.console.output import paper_for, show
from deliverability.console.types import settings_folder
from deliverability.core.codes import ABOUT, Code
from deliverability.core.errors import NO_SUCH_FILE, InputError, file_error, set_aside, until_lost
from deliverability.core.mail.kinds import is_mailbox
from deliverability.core.model.report import Outcome, Report
from deliverability.core.phrases import phrases
from deliverability.core.replies import limits
from deliverability.core.replies.explain import Pile, explain
from deliverability.core.replies.match import load_replies
from deliverability.core.rules.judge import Selection
from deliverability.core.words.speaker import Speaker
from deliverability.engine.audit import make_report
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules, rule_folders
from deliverability.explanations.report import explanation_json, explanation_text, rules_now
from deliverability.intake.command import NO_MAILBOX, access_to
from deliverability.intake.imap import ImapError, ImapFolder
from deliverability.intake.places import UnreadPlace, items

if TYPE_CHECKING:
    from deliverability.core.model.replies import Explanation, ReplyCatalogue
    from deliverability.core.model.rules import RuleSet

MAX_OCTETS = 150_000_000
_HEAD = 1 << 12
_AT_ONCE = 100  # mails of a mailbox whose sizes are asked for together
NOT_QUOTED = Code("reply-not-quoted", ("text",))
NOTHING_TO_EXPLAIN = Code("nothing-to-explain")
LOG_TOO_LARGE = Code("log-too-large", ("name", "n"))


@click.command("explain", cls=Command)
@click.argument("what", metavar="TEXT|FILE|DIR|-", required=False)
@input_options
@click.option("--mailbox", metavar="NAME")
@click.option("--receiver", metavar="ID")
@rule_folders_option
@text_or_json_option
@lang_option
def command(
    what: str | None,
    mailbox: str | None,
    receiver: str | None,
    rules: tuple[Path, ...],
    style: str,
    lang: str,
    **params: Any,
) -> int:
    """Explain a receiver's reply, or a pile of bounces: who sent it, what it means, what to do now."""
    if mailbox is not None and what is not None:  # nothing else is to be explained, so it is a domain
        params["domains"], what = (what, *params["domains"]), None
    if what is None and mailbox is None:
        raise InputError(NOTHING_TO_EXPLAIN())
    if what is not None and what.isdigit() and len(what) == 3 and params["domains"]:
        words = " ".join((what, *params["domains"]))
        raise InputError(NOT_QUOTED(text=words))
    if "-" in (*params["domains"], *params["eml"]) and what == "-":
        raise InputError(STDIN_ONCE())
    settings = read_settings(params["config"])
    folders = rules or settings.rules
    loaded = load_rules(folders)
    known = load_replies(rule_folders(folders), loaded)
    if receiver is not None and receiver not in known.hosts:
        raise InputError(UNKNOWN_RECEIVER(where="--receiver", name=receiver, known=tuple(sorted(known.hosts))))
    explanation = _explained(what, mailbox, params["config"], known, loaded, receiver or "")
    if not explanation.replies and style == "text":
        _tell(f"problem-{explanation.problem}", lang)
        _tell("paste", lang)
        return 3
    reports: list[Report] = []
    if params["domains"] or params["eml"]:
        if any(each.rules for each in explanation.replies):
            reports = _audit(params, explanation, loaded)
        else:
            _tell("no-rules", lang)
    _show(explanation, reports, Speaker(loaded, catalogue(), lang), style)
    return _exit_code(explanation, reports)


def _explained(
    what: str | None,
    mailbox: str | None,
    config: Path | None,
    known: ReplyCatalogue,
    rules: RuleSet,
    receiver: str,
) -> Explanation:
    """What it means: one reply or file, or a pile of them. Raises InputError."""
    pile = Pile(known, rules, receiver)
    if mailbox is not None:
        _take_mailbox(pile, mailbox, config)
        return pile.explanation()
    if _is_pile(what or ""):
        _take_place(pile, what or "")
        return pile.explanation()
    return explain(_read(what or ""), known, rules, receiver)


def _is_pile(what: str) -> bool:
    """Whether it is a folder, or a mailbox file with more than one message. Raises InputError."""
    if not what.strip():  # the path of nothing is this folder
        return False
    path = Path(what)
    try:
        if path.is_dir():
            return True
        if not path.is_file():
            return False
        with path.open("rb") as file:
            if not is_mailbox(file.read(_HEAD)):
                return False
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.EINVAL):  # longer than a file name can be: it is text
            return False
        raise InputError(file_error(what, error)) from None
    return len(list(islice(items(what), 2))) > 1


def _take_place(pile: Pile, place: str) -> None:
    """Add what lies in a folder or mailbox file."""

    def lost(_: Exception) -> None:
        pile.lost()

    for each in until_lost(items(place), lost):
        if isinstance(each, UnreadPlace):
            pile.lost()
            continue
        with set_aside(lost):
            pile.add(each.first(MAX_OCTETS))


def _take_mailbox(pile: Pile, name: str, config: Path | None) -> None:
    """Add the mails of a mailbox of the settings, which stay where they are. Raises InputError."""
    settings = read_settings(config)
    boxes = {each.name: each for each in settings.feedback.mailbox}
    if name not in boxes:
        raise InputError(NO_MAILBOX(name=name, known=tuple(boxes)))
    box = boxes[name]
    try:
        with ImapFolder(access_to(box, settings_folder(config))()) as folder:
            found = folder.uids(0)[-box.most :]
            for portion in (found[start : start + _AT_ONCE] for start in range(0, len(found), _AT_ONCE)):
                for uid, size in folder.sizes(portion).items():
                    octets = folder.octets(uid) if size <= limits.MAX_COMPRESSED else None
                    if octets is None:
                        pile.lost()
                        continue
                    with set_aside(lambda error: pile.lost()):
                        pile.add(octets)
    except ImapError as error:
        raise InputError(ABOUT(what=name, detail=error.detail)) from None


def _read(what: str) -> bytes:
    """The octets of standard input, of the file of that name, or of the text itself. Raises InputError."""
    if what == "-":
        data = sys.stdin.buffer.read(MAX_OCTETS + 1)
        return _not_too_large("standard input", data)
    if not what.strip():
        return b""
    path = Path(what)
    try:
        exists = path.exists()
    except OSError:  # longer than a file name can be: it is text
        exists = False
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


def _audit(params: dict[str, Any], explanation: Explanation, rules: RuleSet) -> list[Report]:
    """Judge the rules behind the replies for every subject that was given."""
    behind = tuple(dict.fromkeys(rule for each in explanation.replies for rule in each.rules))
    receivers = tuple(dict.fromkeys(each.receiver for each in explanation.replies if each.receiver in rules.receivers))
    selection = Selection(behind, (), receivers)
    return run(read_inputs(params), rules.knowledge, lambda audited: make_report(audited, rules, selection))


def _show(explanation: Explanation, reports: list[Report], speaker: Speaker, style: str) -> None:
    if style == "json":
        text = explanation_json(explanation, reports, speaker)
    else:
        text = explanation_text(explanation, reports, speaker, paper_for())
    show(text)


def _tell(key: str, lang: str) -> None:
    """A remark on standard error; the marks around what may be copied are for renderers only."""
    click.echo(phrases(lang)(f"explain.{key}"), err=True)


def _exit_code(explanation: Explanation, reports: list[Report]) -> int:
    if not explanation.replies or (explanation.pile is not None and explanation.pile.unread):
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
