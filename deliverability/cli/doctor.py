"""`deliv doctor`: can this machine audit?"""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deliverability.cli.command import Command
from deliverability.cli.options import (
    config_option,
    lang_option,
    plain_errors,
    resolver_option,
    rule_problems,
    text_or_json_option,
)

if TYPE_CHECKING:
    from deliverability.config import Settings
    from deliverability.model.doctor import MachineCheck
    from deliverability.ports.ports import Ports

_PAGE = "<!doctype html><title>deliv</title><p>deliv"
_PRINT_SECONDS = 60.0


@click.command("doctor", cls=Command)
@resolver_option
@config_option
@text_or_json_option
@lang_option
def command(resolver: tuple[str, ...], config: Path | None, style: str, lang: str) -> int:
    """Check whether this machine can audit: DNS, port 25, clock, Chromium, the weekly mail's server, the history."""
    with plain_errors(), rule_problems():
        from deliverability.cli.inputs import read_settings
        from deliverability.cli.output import show
        from deliverability.cli.types import DEFAULT_FILE
        from deliverability.model.doctor import CheckState
        from deliverability.render.doctor import checks_json
        from deliverability.words.phrases import phrases

        settings = read_settings(config)
        folder = (config or Path(DEFAULT_FILE)).absolute().parent
        say = phrases(lang)
        ports = open_doors(resolver or settings.resolvers)
        checks = asyncio.run(_run(ports, settings, folder, say.lang, shown=style == "text"))
        if style == "json":
            show(checks_json(checks, say))
        return 3 if any(each.state is CheckState.BAD for each in checks) else 0


def open_doors(resolvers: tuple[str, ...]) -> Ports:
    """DNS, the web and port 25, live. Raises InputError where a resolver cannot be used."""
    from deliverability.cli.inputs import opened
    from deliverability.ports.ports import Permissions

    return opened(servers=resolvers, permissions=Permissions(fetch=True, probe_smtp=True))


async def _run(ports: Ports, settings: Settings, folder: Path, lang: str, *, shown: bool) -> list[MachineCheck]:
    """All checks; `shown`: each is printed as soon as it is its turn."""
    from deliverability.cli.output import show, terminal
    from deliverability.render.doctor import check_text
    from deliverability.runs.doctor import check_history, check_mail, examine
    from deliverability.runs.rules import load_rules
    from deliverability.words.phrases import phrases

    outside = load_rules(settings.rules).knowledge.outside
    blocking = (
        check_pdf,
        lambda: check_mail(settings.notify.email, folder),
        lambda: check_history(settings.history, folder),
    )
    looks = terminal()
    checks = []
    try:
        async for check in examine(ports, outside, secrets.token_hex(8), blocking):
            checks.append(check)
            if shown:
                show(check_text(check, phrases(lang), width=looks["width"], unicode=looks["unicode"]))
    finally:
        await ports.close()
    return checks


def check_pdf() -> MachineCheck:
    """Whether a browser is there, and prints a page."""
    from deliverability.model.doctor import CheckState, MachineCheck
    from deliverability.model.errors import InputError
    from deliverability.ports.browser import NAMES, browser_here, print_pdf
    from deliverability.runs.doctor import NO_BROWSER, PRINTED

    browser = browser_here()
    if browser is None:
        return MachineCheck("pdf", CheckState.LIMITED, NO_BROWSER(names=NAMES))
    try:
        print_pdf(browser, _PAGE, Path("report.pdf"), seconds=_PRINT_SECONDS)
    except InputError as error:
        return MachineCheck("pdf", CheckState.LIMITED, error.detail)
    return MachineCheck("pdf", CheckState.GOOD, PRINTED(program=browser))
