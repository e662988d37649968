"""Run a few auditors on given facts of the others, so that one topic is tested alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from deliverability.core.codec import decode, encode, fields_by_path, typed
from deliverability.core.facts.base import Fact, FactSet, FactSpec, FactType, Reason, Record, Unknown, plain, records_of
from deliverability.core.inputs import Subject
from deliverability.core.mail.reader import Message
from deliverability.core.model.topic import facts_in
from deliverability.core.net.base import Resolver
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.engine.base import Auditor, Context, gather

R = TypeVar("R", bound=Record)
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def by_fields(value: Any) -> Any:
    """A fact's value, its records by their fields, as rules look at them."""
    if isinstance(value, tuple):
        return tuple(map(by_fields, value))
    return {name: by_fields(each) for name, each in plain(value).items()} if isinstance(value, Record) else value


def whole(kind: type[R], given: Mapping[str, Any]) -> R:
    """A record of which only some fields matter, by their written names; the others are absent."""
    written = zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)
    return kind(**{name: given.get(each) for name, each in written})


def complete(kind: type[R], **given: Any) -> R:
    """A record as it could be stored, of which only some fields matter: the others are empty in their type."""
    hints = get_type_hints(kind, include_extras=True)
    return kind(**{name: given[name] if name in given else _empty(hint) for name, hint in hints.items()})


def _empty(hint: Any) -> Any:
    while get_origin(hint) is Annotated:
        hint = hint.__origin__
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if Unknown in parts or NoneType in parts:
        return Unknown(Reason.NOT_CONFIGURED) if Unknown in parts else None
    if get_origin(hint) is Literal:
        return get_args(hint)[0]
    return () if get_origin(hint) is tuple else hint()


def value_of(path: str, data: Any) -> Any:
    """A fact's value as JSON has it, its records in their type, unchecked: rules may be asked about any values."""
    value = data if isinstance(data, Unknown) else decode(encode(data))
    found = fields_by_path().get(path)
    hint = facts_in(found[0])[found[1]][0] if found else None
    item = next((get_args(each)[0] for each in get_args(hint) if get_origin(each) is tuple), None)
    if isinstance(value, tuple) and isinstance(item, type) and issubclass(item, Record):
        return tuple(whole(item, each) for each in records_of(value))
    return typed(path, value) if isinstance(value, dict) else value


def stating(facts: Mapping[str, Any], *readers: Auditor) -> Auditor:
    """An auditor that states these facts (JSON values); what else the readers need is not configured."""
    promised = {path for each in readers for path in each.promised}
    needed = {path for each in readers for path in each.needs} - promised
    given = {path: {"unknown": "not-configured"} for path in sorted(needed)} | dict(facts)
    specs = tuple(FactSpec(path, FactType.STR, "given") for path in given)

    async def stated(ctx: Context) -> None:
        ctx.stated.update({path: Fact(path, value_of(path, value)) for path, value in given.items()})

    return Auditor("given", lambda: (specs, ()), stated)


async def facts_of(
    auditors: Sequence[Auditor],
    resolver: Resolver,
    given: Mapping[str, Any],
    domain: str = "example.com",
    message: Message | None = None,
    **subject: Any,
) -> FactSet:
    """The facts of `auditors` where everything else they need is `given` (JSON values) or Unknown(no-message).

    `subject`: what else the user said.
    """
    promised = {path for each in auditors for path in each.promised}
    needed = {path for each in auditors for path in each.needs} - promised
    assert set(given) <= needed, f"nobody reads {set(given) - needed}"

    stated = {path: given.get(path, {"unknown": "no-message"}) for path in sorted(needed)}
    gathered = await gather(
        [stating(stated), *auditors], Subject(domain, **subject), Ports(resolver, FixedClock(NOW)), message
    )
    assert gathered.crashes == ()
    return gathered.facts
