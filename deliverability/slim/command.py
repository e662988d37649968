"""`deliv slim`: a lighter copy of a message, or what it would save."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deliverability.console.command import Command
from deliverability.console.inputs import sample_of
from deliverability.console.options import lang_option, text_or_json_option
from deliverability.console.output import terminal, wrote
from deliverability.console.types import NumberType, OneOf, PathOf
from deliverability.core.codec import json_text, printable
from deliverability.core.codes import Code
from deliverability.core.errors import FILE_EXISTS, NO_SUCH_FOLDER, InputError, not_written
from deliverability.core.files import write_whole
from deliverability.core.mail.files.images import JPEG_QUALITY
from deliverability.core.net.open import CONTRADICTION
from deliverability.core.phrases import phrases
from deliverability.core.report.wrap import typewritten
from deliverability.core.words.sentences import octets, shortened, visible
from deliverability.slim.message import Wish, slim

if TYPE_CHECKING:
    from deliverability.core.phrases import Phrases
    from deliverability.slim.message import PartSaving, Slimmed

MESSAGE_ITSELF = Code("message-itself", ("file",))
_MOST = 3


@click.command("slim", cls=Command)
@click.argument("message", metavar="MESSAGE.eml|-")
@click.option("-o", "--output", type=PathOf("file"), metavar="OUT.eml")
@click.option("--force", is_flag=True)
@click.option("--only", type=OneOf(["images", "html"]))
@click.option("--attachments", is_flag=True)
@click.option("--jpeg-quality", type=NumberType(int, 1, 95), metavar="N")
@lang_option
@text_or_json_option
def command(
    message: str,
    output: Path | None,
    force: bool,
    only: str | None,
    attachments: bool,
    jpeg_quality: int | None,
    lang: str,
    style: str,
) -> int:
    """Make the images and the HTML of a message smaller, and lose nothing."""
    if attachments and only == "html":
        raise InputError(CONTRADICTION(names=("--attachments", "--only html")))
    if jpeg_quality is not None and only == "html":
        raise InputError(CONTRADICTION(names=("--jpeg-quality", "--only html")))
    raw = sample_of(message).read()
    if output is not None:
        _check(output, None if message == "-" else Path(message), force)
    wish = Wish(
        images=only != "html",
        attached_images=attachments,
        html=only != "images",
        jpeg_quality=JPEG_QUALITY if jpeg_quality is None else jpeg_quality,
    )
    slimmed = slim(raw, wish)
    if output is not None:
        _write(output, slimmed.data, force)
        wrote(output)
    if style == "json":
        text = json_text(_record(message, slimmed, output), indent=2) + "\n"
    else:
        words = "\n".join(_lines(slimmed, message, output, phrases(lang))) + "\n"
        text = words if terminal()["unicode"] else typewritten(words)
    click.echo(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"), nl=False)
    return 0


def _check(output: Path, source: Path | None, force: bool) -> None:
    """Raises InputError where `output` must not or cannot be written, before the work begins."""
    if source is not None and output.exists() and output.samefile(source):
        raise InputError(MESSAGE_ITSELF(file=str(output)))
    if output.exists() and not force:
        raise InputError(FILE_EXISTS(file=str(output)))
    if not output.parent.is_dir():
        raise InputError(NO_SUCH_FOLDER(name=f"-o {output}"))


def _write(output: Path, data: bytes, force: bool) -> None:
    """Write the whole file or nothing. Raises InputError."""
    try:
        write_whole(output, data, replace=force)
    except FileExistsError:
        raise InputError(FILE_EXISTS(file=str(output))) from None
    except OSError as error:
        raise InputError(not_written(f"-o {output}", error)) from None


def _record(name: str, slimmed: Slimmed, output: Path | None) -> dict[str, Any]:
    return {
        "message": printable(name),
        "before_octets": slimmed.before,
        "after_octets": slimmed.after,
        "refused": slimmed.refused,
        "written": printable(str(output)) if output else None,
        "dropped_headers": [{"name": field, "count": count} for field, count in slimmed.dropped],
        "parts": [
            {
                "path": part.path,
                "media_type": printable(part.media_type),
                "new_media_type": printable(part.new_type),
                "filename": printable(part.filename) if part.filename is not None else None,
                "before_octets": part.before,
                "after_octets": part.after,
                "change": part.change,
                "kept": part.unchanged,
                "pixels_before": part.pixels_before,
                "pixels_after": part.pixels_after,
            }
            for part in slimmed.parts
        ],
    }


def _lines(slimmed: Slimmed, name: str, output: Path | None, say: Phrases) -> list[str]:
    """The saving in words: a headline, a line for each part, and what to do next."""
    lines = [_headline(slimmed, say)]
    for part in slimmed.parts:
        if part.change is not None:
            change = say(f"slim.change.{part.change}", type=_shown(part.new_type))
            lines += [
                "",
                f"  {part.path}  {_called(part)}",
                f"    {_sizes(part.before, part.after, say)}",
                f"    {change}",
            ]
            if part.pixels_before and part.pixels_after and part.pixels_before != part.pixels_after:
                before, after = (f"{width} x {height}" for width, height in (part.pixels_before, part.pixels_after))
                lines[-1] += say("slim.pixels", before=before, after=after)
        elif part.unchanged is not None and part.unchanged != "small-gain":
            why = say("slim.left", why=say(f"slim.kept.{part.unchanged}"))
            lines += ["", f"  {part.path}  {_called(part)}", f"    {_octets(part.before, say)}  {why}"]
    lines.append("")
    if slimmed.dropped:
        fields = say("value.separator").join(
            say.count("slim.field", count, name=field) for field, count in slimmed.dropped
        )
        lines.append(say("slim.dropped", fields=_shown(fields)))
    if output is None and slimmed.changes:
        lines.append(say("slim.dry-run", command=f"deliv slim {_shown(shlex.quote(name))} -o OUT.eml"))
    return lines if lines[-1] else lines[:-1]


def _headline(slimmed: Slimmed, say: Phrases) -> str:
    if slimmed.refused is not None:
        return say("slim.refused", size=_octets(slimmed.before, say), why=say(f"slim.kept.{slimmed.refused}"))
    if not slimmed.changes:
        return say("slim.nothing", size=_octets(slimmed.before, say))
    most = slimmed.changes[:_MOST]
    named = [
        say("slim.item", what=_shown(part.filename or part.media_type), saved=_octets(part.saved, say)) for part in most
    ]
    listed = say("value.separator").join(named)
    key = "slim.most.one" if len(most) == 1 else "slim.most.other"
    return _sizes(slimmed.before, slimmed.after, say) + say(key, n=say(f"slim.number.{len(most)}"), changes=listed)


def _sizes(before: int, after: int, say: Phrases) -> str:
    # Rounded down: "100 % less" would be nothing left.
    percent = str(100 * (before - after) // before) if before else "0"
    return say("slim.sizes", before=_octets(before, say), after=_octets(after, say), percent=percent)


def _octets(number: int, say: Phrases) -> str:
    return octets(number, say)


def _called(part: PartSaving) -> str:
    return _shown(f"{part.filename} ({part.media_type})" if part.filename else part.media_type)


def _shown(text: str) -> str:
    return visible(shortened(text, 120))
