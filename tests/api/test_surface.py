"""The public surface: names and signatures. A change here is a change for everybody who builds on it; renew knowingly.

`python -m tests.api.test_surface` writes the new one.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
from collections.abc import Iterator
from pathlib import Path

import deliverability

KEPT = Path(__file__).with_name("surface.txt")


def surface() -> str:
    return "\n".join(line for name in sorted(deliverability.__all__) for line in lines(name)) + "\n"


def lines(name: str) -> Iterator[str]:
    value = getattr(deliverability, name)
    if isinstance(value, type) and issubclass(value, enum.Enum):
        yield f"{name} = {' | '.join(f'{each.name} {each.value}' for each in value)}"
    elif isinstance(value, type):
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        yield f"class {name}({bases})"
        fields = getattr(value, "__struct_fields__", ()) or (
            tuple(each.name for each in dataclasses.fields(value)) if dataclasses.is_dataclass(value) else ()
        )
        hints = inspect.get_annotations(value)
        yield from (f"  {each}: {hints.get(each, '(inherited)')}" for each in fields if not each.startswith("_"))
        if not fields:
            yield f"  {name}{signature(value)}"
        for each, member in sorted(vars(value).items()):
            if each.startswith("_") or each in fields:
                continue
            if isinstance(member, property):
                yield f"  .{each} -> {inspect.signature(member.fget).return_annotation}"  # type: ignore[arg-type]
            elif isinstance(member, classmethod) or inspect.isfunction(member):
                waits = "async " if inspect.iscoroutinefunction(member) else ""
                yield f"  {waits}.{each}{signature(getattr(value, each))}"
    elif callable(value):
        yield f"{'async ' if inspect.iscoroutinefunction(value) else ''}{name}{signature(value)}"
    else:
        yield name


def signature(value: object) -> str:
    try:
        return str(inspect.signature(value)).replace("'", "")  # type: ignore[arg-type]
    except ValueError:
        return "(...)"


def test_the_public_surface_is_the_one_that_was_promised() -> None:
    assert surface() == KEPT.read_text("utf-8"), "renew it by: python -m tests.api.test_surface"


def test_it_holds_every_public_name() -> None:
    kept = KEPT.read_text("utf-8").splitlines()
    named = {line.removeprefix("async ").removeprefix("class ").partition("(")[0].partition(" ")[0] for line in kept}
    assert set(deliverability.__all__) <= named


if __name__ == "__main__":
    KEPT.write_text(surface(), "utf-8")
