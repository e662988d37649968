"""`deliv facts`: the facts and their evidence as JSON, for other tools and for `deliv judge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deliverability.cli.command import Command
from deliverability.cli.options import (
    blocklists_option,
    file_option,
    input_options,
    plain_errors,
    rule_problems,
    speaking_option,
)
from deliverability.model.codec import JsonPieces

if TYPE_CHECKING:
    from deliverability.runs.engine import Audited


@click.command("facts", cls=Command)
@input_options
@blocklists_option
@file_option
@speaking_option
def command(output: Path | None, **params: Any) -> int:
    """Collect the facts and their evidence as JSON, without judging."""
    with plain_errors():
        from deliverability.cli.inputs import read_inputs
        from deliverability.cli.output import writing
        from deliverability.cli.running import run
        from deliverability.knowledge import load_knowledge
        from deliverability.runs.rules import rule_folders
        from deliverability.runs.saved import document_of, has_failures

        with rule_problems():
            inputs = read_inputs(params)
            knowledge = load_knowledge(rule_folders(inputs.settings.rules))
        pieces = JsonPieces(len(inputs.subjects))
        with writing(output) as write:

            def each(audited: Audited) -> bool:
                write(pieces.item(document_of(audited)))
                return has_failures(audited.facts)

            failed = run(inputs, knowledge, each)
            write(pieces.end())
        return 3 if any(failed) else inputs.code
