"""A listener for tests: the whole application over the demo's zone, with the audits in this process."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import uvicorn

import deliverability
from deliverability.core.net.open import PortSettings
from deliverability.listen.guard import GuardSettings
from deliverability.listen.serve import create_app
from deliverability.listen.service import CaptureRoom, CaptureService, RoomSettings
from deliverability.listen.store import CaptureStore
from tests.devtools import patiently

DEMO = Path(deliverability.__file__).parent / "demo"
SETTINGS = RoomSettings(ports=PortSettings(zones=(DEMO / "example.zone",)))
ORIGIN = "http://127.0.0.1:8025"


class RoomHere:
    """An AuditWorker without a process of its own."""

    def __init__(self, settings: RoomSettings = SETTINGS) -> None:
        self.room = CaptureRoom(settings)

    async def run(self, call: str, *args: Any) -> Any:
        module, _, function = call.rpartition(":")
        if module:
            return await getattr(importlib.import_module(module), function)(self.room, *args)
        return await getattr(self.room, function)(*args)

    def close(self) -> None:
        pass


def listener(folder: Path | None = None, **settings: Any) -> CaptureService:
    """A service that keeps what comes in memory, or in the folder."""
    return CaptureService(CaptureStore(folder), RoomHere(), **settings)


def client(service: CaptureService, guard: GuardSettings | None = None, **settings: Any) -> httpx2.AsyncClient:
    """A browser of the service without script: it keeps cookies, and sends no origin unless told."""
    app = create_app(service, guard or GuardSettings())
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=ORIGIN, **settings)


@contextmanager
def serving(service: CaptureService) -> Iterator[str]:
    """The service on a port of this machine; gives its address."""
    app = create_app(service, GuardSettings())
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        patiently(lambda: server.started, "the server starts")
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)
