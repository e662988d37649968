"""Mappings that nobody can change: what results hold by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from deliverability.core.model.report import VerdictKind

T = TypeVar("T")


class Frozen(Mapping[str, T]):
    """A mapping that cannot be changed; equal to any mapping with the same items."""

    __slots__ = ("_items",)
    _items: dict[str, T]

    def __init__(self, items: Mapping[str, T]) -> None:
        object.__setattr__(self, "_items", dict(items))

    def __getitem__(self, key: str) -> T:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._items!r})"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __reduce__(self) -> tuple[type[Frozen[T]], tuple[dict[str, T]]]:
        return type(self), (self._items,)


class Verdicts(Frozen[VerdictKind]):
    """Receiver id -> verdict; also by attribute: ``verdicts.gmail``, with ``_`` for the ``-`` of an id."""

    __slots__ = ()

    def __getattr__(self, name: str) -> VerdictKind:
        found = self._items.get(name, self._items.get(name.replace("_", "-")))
        if found is None:
            raise AttributeError(f"no verdict of {name}; there are those of {', '.join(self) or 'nobody'}")
        return found

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name.replace("-", "_") for name in self)]


def frozen(value: Any) -> Any:
    """Plain data with tuples for its lists and Frozen for its mappings."""
    if isinstance(value, dict):
        return Frozen({key: frozen(each) for key, each in value.items()})
    if isinstance(value, list):
        return tuple(frozen(each) for each in value)
    return value


def copied(value: Any) -> Any:
    """Plain data once more."""
    if isinstance(value, dict):
        return {key: copied(each) for key, each in value.items()}
    return [copied(each) for each in value] if isinstance(value, list) else value
