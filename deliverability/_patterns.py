"""Regular expressions that are compiled when they are first used: modules have hundreds, and a run needs a few."""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


class _Late:
    """Stands in for a pattern; each method is taken from it once."""

    def __init__(self, text: str | bytes, flags: int) -> None:
        self._text, self._flags = text, flags

    def __getattr__(self, name: str) -> Any:
        found = self.__dict__[name] = getattr(re.compile(self._text, self._flags), name)
        return found


def regex(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """As re.compile, for a pattern whose own methods are called; it may not be handed to a function of `re`.

    A call takes a little longer: what is asked for each line or word of a mail is compiled at once.
    """
    return cast("re.Pattern[AnyStr]", _Late(text, flags))
