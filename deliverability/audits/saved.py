"""`deliv facts` and `deliv judge`: facts that are saved, and judged later."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deliverability.console import ending
from deliverability.console.command import Command
from deliverability.console.inputs import read_inputs, read_settings
from deliverability.console.judging import Judging, run
from deliverability.console.language import language
from deliverability.console.options import (
    blocklists_option,
    config_option,
    file_option,
    input_options,
    judging_options,
    output_options,
    speaking_option,
)
from deliverability.console.output import writing
from deliverability.core.codec import JsonPieces
from deliverability.core.codes import Code
from deliverability.core.errors import InputError, file_error, set_aside
from deliverability.core.rules.knowledge import load_knowledge
from deliverability.engine.audit import audited_of, document_of, has_failures
from deliverability.engine.rules import rule_folders, worst_exit_code

if TYPE_CHECKING:
    from deliverability.engine.audit import Audited


@click.command("facts", cls=Command)
@input_options
@blocklists_option
@file_option
@speaking_option
def facts(output: Path | None, **params: Any) -> int:
    """Collect the facts and their evidence as JSON, without judging."""
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


ODD_FACTS = Code("facts-odd", ("file", "n", "why"))
NOT_JSON = Code("facts-not-json", ("file", "why"))
JSON_AT = Code("json-at", ("line", "column"))
NO_FACTS = Code("facts-none", ("file",))
TOO_DEEP = Code("facts-too-deep", ("file",))


@click.command("judge", cls=Command)
@click.argument("file", metavar="FACTS.json")
@judging_options
@output_options
@config_option
def judge(file: str, config: Path | None, **params: Any) -> int:
    """Judge facts that `deliv facts` saved, again and offline."""
    judging = Judging.of(params, read_settings(config))
    several = _read(file)
    outputs = judging.outputs(len(several))
    codes: list[int] = []
    lost: list[Exception] = []

    def set_apart(number: int, error: Exception) -> None:
        """No auditor gives such facts: the file was made or changed by hand."""
        odd = error
        if not isinstance(error, InputError):
            odd = InputError(ODD_FACTS(file=file, n=number, why=f"{type(error).__name__}: {error}"))
        if len(several) == 1:
            raise odd from error
        say = language().say
        click.echo(say("cli.left-out", text=ending.error_text(odd, say)[0]), err=True)
        lost.append(error)

    for number, document in enumerate(several, 1):
        with set_aside(partial(set_apart, number), but=(OSError,)):
            codes.append(judging.take(_audited(file, document), outputs))
    outputs.end()
    return 2 if lost else worst_exit_code(codes)


def _read(file: str) -> list[Any]:
    """The documents of a file. Raises InputError."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
        data = json.loads(text)
    except OSError as error:
        if file == "-":
            raise
        raise InputError(file_error(file, error)) from None
    except UnicodeDecodeError as error:
        raise InputError(file_error(file, error)) from None
    except json.JSONDecodeError as error:
        raise InputError(NOT_JSON(file=file, why=JSON_AT(line=error.lineno, column=error.colno))) from None
    except (ValueError, RecursionError) as error:
        raise InputError(NOT_JSON(file=file, why=str(error))) from None
    several = data if isinstance(data, list) else [data]
    if not several:
        raise InputError(NO_FACTS(file=file))
    return several


def _audited(file: str, data: Any) -> Audited:
    try:
        return audited_of(data)
    except ValueError as error:
        raise InputError(file_error(file, error)) from None
    except RecursionError:
        raise InputError(TOO_DEEP(file=file)) from None
