"""The pages of `deliv listen`."""

from __future__ import annotations

from starlette.routing import BaseRoute


def page_routes() -> list[BaseRoute]:
    """Routes of the pages. A request has the CaptureService as ``request.app.state.service``."""
    return []
