"""What was given and cannot be used."""

from __future__ import annotations

from deliverability.model.codes import ABOUT, Code, Detail

NO_SUCH_FILE = Code("no-such-file", ("name",))
NO_SUCH_FOLDER = Code("no-such-folder", ("name",))
FILE_EXISTS = Code("file-exists", ("file",))
IS_FOLDER = Code("is-folder", ("name",))
FILE_TOO_LARGE = Code("file-too-large", ("file", "n"))
AT_LINE = Code("at-line", ("file", "line", "detail"))


class InputError(ValueError):
    """What was given cannot be used; each of its details says what to give instead.

    As text it speaks English, for programs that show what they caught.
    """

    def __init__(self, *details: Detail) -> None:
        super().__init__(*details)
        self.details = details

    @property
    def detail(self) -> Detail:
        """The first of them."""
        return self.details[0]

    def __str__(self) -> str:
        """A line for each detail."""
        from deliverability.words.details import detail_words
        from deliverability.words.phrases import phrases

        return "\n".join(detail_words(each, phrases("en")) for each in self.details)


class DetailError(Exception):
    """What a module says to its callers: something cannot be done or used, and `detail` says why."""

    def __init__(self, detail: Detail) -> None:
        super().__init__(detail.code)
        self.detail = detail


def not_written(name: object, error: OSError) -> Detail:
    """Why a file cannot be written."""
    return NO_SUCH_FOLDER(name=str(name)) if isinstance(error, FileNotFoundError) else file_error(name, error)


def file_error(name: object, error: OSError | ValueError) -> Detail:
    """What the system says about a file, or what is wrong with what it holds."""
    if isinstance(error, FileNotFoundError):
        return NO_SUCH_FILE(name=str(name))
    return ABOUT(what=str(name), detail=getattr(error, "strerror", None) or str(error))
