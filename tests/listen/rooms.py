"""A worker in this process, and the service and application over it."""

from __future__ import annotations

import importlib
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx2

from deliverability.core.net.open import PortSettings
from deliverability.listen.guard import GuardSettings
from deliverability.listen.serve import create_app
from deliverability.listen.service import CaptureRoom, CaptureService, RoomSettings
from deliverability.listen.store import CaptureStore

OFFLINE_ROOM = RoomSettings(ports=PortSettings(offline=True))


class InlineWorker:
    """See AuditWorker; everything happens here."""

    def __init__(self, settings: RoomSettings = OFFLINE_ROOM) -> None:
        self._settings = settings

    @cached_property
    def room(self) -> CaptureRoom:
        return CaptureRoom(self._settings)

    async def run(self, call: str, *args: Any) -> Any:
        module, _, function = call.rpartition(":")
        if module:
            return await getattr(importlib.import_module(module), function)(self.room, *args)
        return await getattr(self.room, function)(*args)

    def close(self) -> None: ...


def service_at(folder: Path | None) -> CaptureService:
    return CaptureService(CaptureStore(folder), InlineWorker())


def client_of(service: CaptureService, guard: GuardSettings | None = None, **headers: str) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(create_app(service, guard or GuardSettings()))
    return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8025", headers=headers)
