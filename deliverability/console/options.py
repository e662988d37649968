"""Options that several commands share, and how their errors are told. At start: click and the list of formats.

What they mean stands in reports/help.*.yaml, by the name of the parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from deliverability.console.ending import error_text, visible
from deliverability.console.language import BOTH, language
from deliverability.console.types import MessagesADay, NamesOf, NumberType, OneOf, PathOf, ReportPath
from deliverability.core.errors import FilesError, InputError
from deliverability.core.net.zones import FORMATS
from deliverability.core.phrases import LANGUAGES, detail_words
from deliverability.core.report.formats.table import PRINTED

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[F], F]

_SHOWN = 20
PURPOSES = ("users", "bulk", "transactional", "parked")

lang_option = click.option(
    "--lang", type=OneOf(LANGUAGES), callback=lambda _context, _option, value: value or language().people
)
# Of reports: in both languages, each in a file of its own.
report_lang_option = click.option(
    "--lang", type=OneOf((*LANGUAGES, BOTH)), callback=lambda _context, _option, value: value or language().people
)
# Where nothing but errors, help and remarks depends on it.
speaking_option = click.option("--lang", type=OneOf(LANGUAGES), expose_value=False)
text_or_json_option = click.option("--format", "style", type=OneOf(["text", "json"]), default="text")
fail_on_option = click.option("--fail-on", type=OneOf(["error", "warning", "never"]))
file_option = click.option("-o", "--output", type=PathOf("file"), metavar="FILE")
config_option = click.option("--config", type=PathOf("file", exists=True), metavar="FILE")
rule_folders_option = click.option("--rules", multiple=True, type=PathOf("folder", exists=True), metavar="DIR")
blocklists_option = click.option("--blocklists", type=NamesOf(), metavar="all|settings|ID|file:FILE,...")
_ZONES: tuple[Decorator[Any], ...] = (
    click.option("--zone", multiple=True, type=PathOf("either", exists=True), metavar="FILE|DIR"),
    click.option("--zone-format", type=OneOf(FORMATS)),
    click.option("--origin", multiple=True, metavar="ZONE"),
    click.option("--zone-tag", metavar="TAG"),
)
offline_option = click.option("--offline", is_flag=True)
timeout_option = click.option("--timeout", type=NumberType(float, 0.1), metavar="SECONDS")
resolver_option = click.option("--resolver", multiple=True, metavar="ADDR|https://URL|tls://ADDR")

_PORTS: tuple[Decorator[Any], ...] = (
    *_ZONES,
    click.option("--with", "proposals", multiple=True, metavar="'NAME TYPE VALUE'"),
    resolver_option,
    offline_option,
    click.option("--fetch", is_flag=True),
    click.option("--probe-smtp", is_flag=True),
    click.option("--probe-unsubscribe", is_flag=True),
    click.option("--replay", type=PathOf("file", exists=True), metavar="FILE"),
    timeout_option,
    config_option,
)
_INPUTS: tuple[Decorator[Any], ...] = (
    click.argument("domains", metavar="[DOMAIN]...", nargs=-1),
    click.option("--eml", multiple=True, metavar="FILE|-"),
)
_MAIL: tuple[Decorator[Any], ...] = (
    click.option("--ip", multiple=True, metavar="ADDR"),
    click.option("--mail-from", metavar="ADDR"),
    click.option("--helo", metavar="NAME"),
    click.option("--selector", multiple=True, metavar="S"),
    click.option("--purpose", type=OneOf(PURPOSES, {"newsletter": "bulk"})),
    click.option("--daily-volume", type=MessagesADay(), metavar="N"),
    click.option("--dns-provider", metavar="ID"),
)
_JUDGING: tuple[Decorator[Any], ...] = (
    click.option("--receiver", multiple=True, metavar="ID"),
    click.option("--region", type=NamesOf(), metavar="jp|de|fr|kr|br|..."),
    click.option("--profile", multiple=True, metavar="ID"),
    rule_folders_option,
    click.option("--select", multiple=True, metavar="ID|PREFIX"),
    click.option("--ignore", multiple=True, metavar="ID|PREFIX"),
)
_OUTPUT: tuple[Decorator[Any], ...] = (
    click.option("--format", "style", type=OneOf(list(PRINTED))),
    click.option("-o", "--output", multiple=True, type=ReportPath(), metavar="FILE|DIR/"),
    report_lang_option,
    click.option("--all", "whole", is_flag=True),
    click.option("--trace", is_flag=True),
)

OPTION_GROUPS: Mapping[str, tuple[str, ...]] = {
    "mail-options": ("eml", "ip", "mail-from", "helo", "selector", "purpose", "daily-volume", "dns-provider"),
    "query-options": (
        *("zone", "zone-format", "origin", "zone-tag", "with", "resolver", "offline"),
        *("fetch", "probe-smtp", "probe-unsubscribe", "blocklists"),
        *("timeout", "record", "replay"),
    ),
    "judging-options": ("receiver", "region", "to", "profile", "rules", "select", "ignore", "fail-on"),
    "output-options": ("format", "output", "all", "trace"),
    "general-options": ("config", "lang", "history", "help"),
}
"""What a page of help puts under one heading (`page.NAME` of the help texts): names of options that commands share."""


def _stack(decorators: tuple[Decorator[Any], ...]) -> Decorator[Any]:
    def apply(function: Any) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


zone_option = _stack(_ZONES)
port_options = _stack(_PORTS)
dns_options = _stack((*_ZONES, resolver_option, offline_option, timeout_option, config_option))
mail_options = _stack(_MAIL)
input_options = _stack((*_INPUTS, *_PORTS, click.option("--record", type=PathOf("file"), metavar="FILE"), *_MAIL))
judging_options = _stack(_JUDGING)
shown_options = _stack(_OUTPUT)
output_options = _stack((*_OUTPUT, fail_on_option))


class RefusedError(click.ClickException):
    """What the user can mend, in the words of the run."""

    exit_code = 2


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn what the user can mend into one clear message and exit code 2."""
    try:
        yield
    except InputError as error:
        raise RefusedError(error_text(error, language().say)[0]) from None


@contextmanager
def rule_problems() -> Iterator[None]:
    """Turn errors in rule files, those of replies and senders too, into one message with file and line, exit code 2."""
    try:
        yield
    except FilesError as error:
        say = language().say
        lines = [say("cli.rule-files"), *(visible(detail_words(each, say)) for each in error.details[:_SHOWN])]
        if len(error.details) > _SHOWN:
            lines.append(say("cli.more-problems", n=f"{len(error.details) - _SHOWN:,}"))
        raise RefusedError("\n  ".join(lines)) from None
