"""Options that several commands share, and how their errors are told. At start: click and the list of formats."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from deliverability.render.formats import ENDINGS, PRINTED

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[F], F]

lang_option = click.option(
    "--lang", type=click.Choice(["en", "ja"]), envvar="DELIV_LANG", default="en", help="Language [default: en]."
)
settings_lang_option = click.option(
    "--lang", type=click.Choice(["en", "ja"]), envvar="DELIV_LANG", help="Language [default: settings, else en]."
)
text_or_json_option = click.option(
    "--format", "style", type=click.Choice(["text", "json"]), default="text", help="What to print [default: text]."
)
file_option = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a file instead of standard output.",
)
config_option = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Settings [default: deliv.toml here, if there is one].",
)
rule_folders_option = click.option(
    "--rules",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Rule files to merge over the shipped ones, by id (repeatable).",
)
resolver_option = click.option(
    "--resolver",
    multiple=True,
    metavar="ADDR|https://URL|tls://ADDR",
    help="Name server to ask instead of the system's (repeatable).",
)

_PORTS: tuple[Decorator[Any], ...] = (
    click.option(
        "--zone",
        multiple=True,
        type=click.Path(exists=True, path_type=Path),
        metavar="FILE|DIR",
        help="Master files (RFC 1035) instead of live DNS (repeatable).",
    ),
    click.option(
        "--with",
        "proposals",
        multiple=True,
        metavar="'NAME TYPE VALUE'",
        help="Lay a proposed record over DNS: audit before you publish (repeatable).",
    ),
    resolver_option,
    click.option("--offline", is_flag=True, help="Ask nothing outside; what would need DNS is left unchecked."),
    click.option(
        "--fetch", is_flag=True, help="Also fetch the policy files that DNS names (MTA-STS, BIMI) from the web."
    ),
    click.option("--probe-smtp", is_flag=True, help="Also connect to the MX hosts (port 25) and look at their TLS."),
    click.option(
        "--probe-unsubscribe",
        is_flag=True,
        help="Also send the one-click request (POST) to the https address in List-Unsubscribe. "
        "WARNING: this really unsubscribes the recipient of the message.",
    ),
    click.option("--record", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Keep all answers."),
    click.option(
        "--replay",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Answer from a recording (see --record).",
    ),
    click.option(
        "--timeout", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Time for a domain [default: 15]."
    ),
    config_option,
)
_INPUTS: tuple[Decorator[Any], ...] = (
    click.argument("domains", metavar="[DOMAIN]...", nargs=-1),
    click.option("--eml", multiple=True, metavar="FILE|-", help="Message to audit; - is standard input (repeatable)."),
    click.option("--ip", multiple=True, metavar="ADDR", help="IP address that sends for the domain (repeatable)."),
    click.option("--mail-from", metavar="ADDR", help="Envelope sender (Return-Path); '<>' is the null sender."),
    click.option("--helo", metavar="NAME", help="HELO/EHLO name of the sending host."),
    click.option("--selector", multiple=True, metavar="S", help="DKIM selector to look up (repeatable)."),
    click.option(
        "--purpose",
        type=click.Choice(["users", "bulk", "transactional", "parked"]),
        help="What the domain sends; decides which requirements apply.",
    ),
    click.option("--daily-volume", type=click.IntRange(min=0), metavar="N", help="Messages sent a day."),
)
_JUDGING: tuple[Decorator[Any], ...] = (
    click.option(
        "--receiver", multiple=True, metavar="ID", help="Judge for this receiver only: icloud, gmail, ... (repeatable)."
    ),
    rule_folders_option,
    click.option("--select", multiple=True, metavar="ID|PREFIX", help="Judge only these rules (repeatable)."),
    click.option("--ignore", multiple=True, metavar="ID|PREFIX", help="Leave these rules out (repeatable)."),
)
_OUTPUT: tuple[Decorator[Any], ...] = (
    click.option(
        "--format",
        "style",
        type=click.Choice(list(PRINTED)),
        help="What to print [default: text].",
    ),
    click.option(
        "-o",
        "--output",
        multiple=True,
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help=f"Write a file instead, in the format of its ending: {', '.join(ENDINGS)} (repeatable).",
    ),
    settings_lang_option,
    click.option(
        "--all", "whole", is_flag=True, help="On the terminal also the evidence, and each of several reports in full."
    ),
    click.option(
        "--trace", is_flag=True, help="Show how SPF and DKIM were evaluated, term by term, also where they pass."
    ),
    click.option(
        "--fail-on",
        type=click.Choice(["error", "warning", "never"]),
        help="From which severity on findings give exit code 1 [default: error].",
    ),
)


def _stack(decorators: tuple[Decorator[Any], ...]) -> Decorator[Any]:
    def apply(function: Any) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


port_options = _stack(_PORTS)
input_options = _stack((*_INPUTS[:2], *_PORTS, *_INPUTS[2:]))
judging_options = _stack(_JUDGING)
output_options = _stack(_OUTPUT)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn what the user can mend into one clear message and exit code 2."""
    from deliverability.config import ConfigError
    from deliverability.model.errors import InputError

    try:
        yield
    except (InputError, ConfigError) as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def rule_problems() -> Iterator[None]:
    """Turn errors in rule files, those of replies and senders too, into one message with file and line, exit code 2."""
    from deliverability._yamlstrict import FilesError

    try:
        yield
    except FilesError as error:
        shown = error.problems[:20]
        more = f"\n  ... and {len(error.problems) - 20} more" if len(error.problems) > 20 else ""
        raise click.ClickException("the rule files cannot be used:\n  " + "\n  ".join(shown) + more) from None
