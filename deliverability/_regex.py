"""`re` whose `compile` compiles when the expression is first used.

The program has hundreds of expressions, each in the module that it is about. To compile them takes as long as all else
that happens while it is loaded, and a run uses a third of them. Modules write `re.compile` as ever; `re` is from here.
"""

from __future__ import annotations

import re as _re
from typing import TYPE_CHECKING, Any

__all__ = ["re"]

_METHODS = frozenset({"match", "search", "fullmatch", "sub", "subn", "split", "findall", "finditer"})


class _Later:
    """An expression that is not compiled yet; once it is, this hands on what the compiled one has."""

    def __init__(self, text: Any, flags: int) -> None:
        self._made = (text, flags)

    def __getattr__(self, name: str) -> Any:
        found = getattr(_re.compile(*self._made), name)
        if name in _METHODS:
            self.__dict__[name] = found  # so that it is not looked for again
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return _Later, self._made


class _Module:
    """All that the module has."""

    compile = staticmethod(lambda text, flags=0: _Later(text, flags))

    def __getattr__(self, name: str) -> Any:
        return getattr(_re, name)


if TYPE_CHECKING:
    import re
else:
    re = _Module()
