"""The web application of `deliv listen`: API and pages behind one guard."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from deliverability.capture.api import api_routes
from deliverability.capture.guard import Guard, GuardSettings
from deliverability.capture.pages import not_there, page_routes, refused
from deliverability.capture.service import CaptureService


def create_app(service: CaptureService, guard: GuardSettings) -> Starlette:
    """The application. Handlers find the service as ``request.app.state.service``."""
    guarded = Middleware(Guard, settings=guard, refused=refused)
    app = Starlette(
        routes=[*api_routes(), *page_routes()], middleware=[guarded], exception_handlers={HTTPException: not_there}
    )
    app.state.service = service
    return app
