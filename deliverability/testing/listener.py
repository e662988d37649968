"""An SMTP server on loopback for tests, in a thread of its own. What comes is kept, and never sent on."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import TracebackType

from msgspec import Struct

from deliverability.listen.receive import ReceivedMail, SmtpReceiver

_HOST = "127.0.0.1"


class ListenedMail(Struct, frozen=True):
    """A mail as it came; `deliv_audit` takes it.

    Attributes:
        mail_from: the envelope sender; empty: the null one.
        rcpt: the envelope recipients, in their order.
        octets: the message.

    """

    mail_from: str
    rcpt: tuple[str, ...]
    octets: bytes

    def as_bytes(self) -> bytes:
        """The message."""
        return self.octets

    def __repr__(self) -> str:
        return f"ListenedMail({self.mail_from!r}, {self.rcpt!r}, {len(self.octets)} octets)"


class MailListener:
    """The fixture `deliv_listener`: `host` and `port` are for the settings of the program that sends."""

    host = _HOST

    def __init__(self) -> None:
        self.port = 0
        self._mails: list[ListenedMail] = []
        self._came = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._receiver = SmtpReceiver("localhost", self._deliver)
        self._thread = threading.Thread(target=self._loop.run_forever, name="deliv-listener", daemon=True)

    @property
    def messages(self) -> tuple[ListenedMail, ...]:
        """What came so far, in order."""
        with self._came:
            return tuple(self._mails)

    def wait(self, number: int = 1, *, timeout: float = 10.0) -> tuple[ListenedMail, ...]:
        """What came, as soon as it is that many; fails the test where the seconds go by before."""
        __tracebackhide__ = True
        with self._came:
            if not self._came.wait_for(lambda: len(self._mails) >= number, timeout):
                raise AssertionError(f"deliv_listener: {len(self._mails)} of {number} mails came within {timeout:g} s")
            return tuple(self._mails)

    def clear(self) -> None:
        """Forget what came."""
        with self._came:
            self._mails.clear()

    async def _deliver(self, mail: ReceivedMail) -> str:
        with self._came:
            self._mails.append(ListenedMail(mail.mail_from, mail.rcpt, mail.octets))
            self._came.notify_all()
            return str(len(self._mails))

    def __enter__(self) -> MailListener:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._receiver.start(_HOST, 0), self._loop).result()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._receiver.close(), self._loop).result()
        asyncio.run_coroutine_threadsafe(_ended(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _ended() -> None:
    """Let the tasks of closed connections come to their end, so that none is found open when the loop is closed."""
    tasks = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)
