"""Who sends as one or more domains, as an HTML page that needs nothing else.

The look is in reports/: sources.html (the page), sources_macros.html (groups and sources), sources.css.
"""

from __future__ import annotations

from collections.abc import Sequence

from deliverability import __version__
from deliverability.core.report.formats.html import CONTENT_SECURITY_POLICY, sources_css, style_sheet
from deliverability.core.report.sources import SourcesView
from deliverability.core.report.templates import environment
from deliverability.core.words.speaker import Speaker


def sources_page(views: Sequence[SourcesView], speaker: Speaker) -> str:
    """The page: of several domains a table first, then each domain with its sources in groups."""
    return (
        environment()
        .get_template("sources.html")
        .render(
            say=speaker.say,
            lang=speaker.lang,
            views=views,
            policy=CONTENT_SECURITY_POLICY,
            css=style_sheet() + sources_css(),
            version=__version__,
            glossed=lambda text: (("", text),),
        )
    )
