"""`deliv facts`: the facts and their evidence as JSON, for other tools and for `deliv judge`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deliverability.cli.command import Command
from deliverability.cli.options import file_option, input_options, plain_errors, rule_problems, speaking_option
from deliverability.model.codec import json_text


@click.command("facts", cls=Command)
@input_options
@file_option
@speaking_option
def command(output: Path | None, **params: Any) -> int:
    """Collect the facts and their evidence as JSON, without judging."""
    with plain_errors():
        from deliverability.cli.inputs import read_inputs
        from deliverability.cli.output import put
        from deliverability.cli.running import run
        from deliverability.knowledge import load_knowledge
        from deliverability.runs.rules import rule_folders
        from deliverability.runs.saved import document_of, has_failures

        inputs = read_inputs(params)
        with rule_problems():
            knowledge = load_knowledge(rule_folders(inputs.settings.rules))
        found = run(inputs, knowledge, lambda audited: (document_of(audited), has_failures(audited.facts)))
        documents = [document for document, _ in found]
        data = documents[0] if len(documents) == 1 else documents
        text = json_text(data, indent=2) + "\n"
        put(text, output)
        return 3 if any(failed for _, failed in found) else inputs.code
