"""`dataclass` for classes with slots as the standard library's, made at a tenth of its price.

That one compiles half a dozen methods for each class, half a millisecond, and this program has hundreds. Here a class
gets methods that are the same for all but for the names of the fields, and its `__init__` is compiled when the first
object is made: most classes make none in a run. `replace` and `fields` of the standard library work on it.

For type checkers it is the standard library's. What is not needed here is not there: no order, no fields by keyword
only, no `InitVar`, no class without slots.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, FrozenInstanceError
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, slots: bool, frozen: bool = False, eq: bool = True) -> Callable[[type], type]:
        """A decorator that makes a class of the annotations of another. `slots` has to be true; it tells checkers."""
        if not slots:
            raise TypeError("these classes have slots")
        return lambda cls: _made(cls, frozen, eq)


__all__ = ["dataclass"]


def _made(cls: type, frozen: bool, eq: bool) -> Any:
    body = dict(cls.__dict__)
    said = body.get("__annotations__", {})
    own = [name for name, kind in said.items() if not kind.startswith("ClassVar")]
    fields: dict[str, Any] = {}
    types: dict[str, Any] = {}
    for base in reversed(cls.__mro__[1:]):
        fields |= base.__dict__.get("_defaults_", {})
        types |= base.__dict__.get("_types_", {})
    inherited = frozenset(fields)
    for name in own:
        default = body.pop(name, MISSING)
        if type(default).__hash__ is None:
            raise ValueError(f"{cls.__name__}.{name}: use default_factory, for {default!r} can change")
        fields[name], types[name] = default, said[name]
    body.pop("__dict__", None)
    body.pop("__weakref__", None)
    body["__slots__"] = tuple(name for name in own if name not in inherited)
    body["__match_args__"] = tuple(name for name, default in fields.items() if _is(default, "init"))
    body["__dataclass_fields__"] = _Fields()
    body["_defaults_"], body["_types_"] = fields, types
    body["__getstate__"] = _state
    body["__setstate__"] = _set_state
    body.setdefault("__repr__", _repr)
    late: dict[str, Callable[[Any], Callable[..., Any]]] = {"__init__": _init_of}
    if eq:
        late["__eq__"] = _equal_of
        if "__hash__" not in body or (body["__hash__"] is None and "__eq__" in cls.__dict__):
            body.pop("__hash__", None)
            if frozen:
                late["__hash__"] = _hash_of
            else:
                body["__hash__"] = None
    if frozen:
        body["__setattr__"] = _set_frozen
        body["__delattr__"] = _delete_frozen
    for name, of in late.items():
        body.setdefault(name, _until_called(name, of, lambda: made))
    made: Any = type(cls)(cls.__name__, cls.__bases__, body)
    made.__qualname__ = cls.__qualname__
    made._setters_ = tuple([getattr(made, name).__set__ for name in fields])
    return made


def _until_called(name: str, of: Callable[[Any], Callable[..., Any]], cls: Callable[[], Any]) -> Callable[..., Any]:
    """Stands for a method until it is called, then has it compiled and put into its place."""

    def first(*args: Any, **values: Any) -> Any:
        method = of(cls())
        setattr(cls(), name, method)
        return method(*args, **values)

    return first


def _is(default: Any, what: str) -> bool:
    return not isinstance(default, Field) or bool(getattr(default, what))


def _state(self: Any) -> tuple[Any, ...]:
    return tuple([getattr(self, name) for name in type(self)._defaults_])


def _set_state(self: Any, state: tuple[Any, ...]) -> None:
    for put, value in zip(type(self)._setters_, state, strict=True):
        put(self, value)


def _repr(self: Any) -> str:
    shown = (name for name, default in type(self)._defaults_.items() if _is(default, "repr"))
    return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"


def _set_frozen(self: Any, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _delete_frozen(self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _init_of(cls: Any) -> Callable[..., None]:
    """An `__init__` with the fields as parameters, that sets each slot and calls `__post_init__`."""
    known: dict[str, Any] = {"_NONE": MISSING}
    parameters, lines = [], []
    for (name, default), put in zip(cls._defaults_.items(), cls._setters_, strict=True):
        known[f"_set_{name}"] = put
        value: Any = default
        factory: Any = MISSING
        init = True
        if isinstance(default, Field):
            value, factory, init = default.default, default.default_factory, default.init
        known[f"_default_{name}"] = value if factory is MISSING else factory
        given = name
        if factory is not MISSING:
            given = f"_default_{name}() if {name} is _NONE else {name}" if init else f"_default_{name}()"
        if init:
            without = "=_NONE" if factory is not MISSING else f"=_default_{name}" if value is not MISSING else ""
            parameters.append(name + without)
        elif factory is MISSING:
            if value is MISSING:
                continue  # __post_init__ sets it
            given = f"_default_{name}"
        lines.append(f"_set_{name}(self, {given})")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    return _compiled(cls, "__init__", ("self", *parameters), lines or ["pass"], known)


def _equal_of(cls: Any) -> Callable[..., Any]:
    names = [name for name, default in cls._defaults_.items() if _is(default, "compare")]
    mine, others = ("".join(f"{each}.{name}, " for name in names) for each in ("self", "other"))
    lines = ["if other.__class__ is not self.__class__:", " return NotImplemented", f"return ({mine}) == ({others})"]
    return _compiled(cls, "__eq__", ("self", "other"), lines, {})


def _hash_of(cls: Any) -> Callable[..., Any]:
    names = [name for name, default in cls._defaults_.items() if _is(default, "compare")]
    lines = [f"return hash(({''.join(f'self.{name}, ' for name in names)}))"]
    return _compiled(cls, "__hash__", ("self",), lines, {})


def _compiled(
    cls: Any, name: str, parameters: Iterable[str], lines: Iterable[str], known: dict[str, Any]
) -> Callable[..., Any]:
    # As the standard library does: of names of fields and of nothing else.
    exec(  # noqa: S102
        f"def {name}({', '.join(parameters)}):\n " + "\n ".join(lines), known
    )
    made: Callable[..., Any] = known[name]
    made.__qualname__ = f"{cls.__qualname__}.{name}"
    return made


class _Fields:
    """What `dataclasses.fields` and `replace` ask for, made by the standard library when it is first asked for."""

    def __get__(self, _: object, owner: Any) -> Mapping[str, Field[Any]]:
        cls = next(each for each in owner.__mro__ if each.__dict__.get("__dataclass_fields__") is self)
        defaults = {name: each for name, each in cls._defaults_.items() if each is not MISSING}
        like = type(cls.__name__, (), {"__module__": cls.__module__, "__annotations__": cls._types_, **defaults})
        like = dataclasses.dataclass(init=False, repr=False, eq=False)(like)
        made = {each.name: each for each in dataclasses.fields(like)}
        cls.__dataclass_fields__ = made
        return made
