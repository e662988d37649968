"""Trends as inline SVG, drawn by pygal; bars by day are a path of our own.

pygal's own script, style and comments are taken out: the page's policy allows no script, and its colours follow the
theme. What the chart shows stands in a table beside it, so the drawing itself is hidden from screen readers.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

_LOADING = threading.Lock()
_Number = int | float
_SVG = "http://www.w3.org/2000/svg"
_HIDDEN = frozenset({"tooltip", "tooltip-overlay", "text-overlay", "titles", "background", "value", "centered"})
_BAR, _HEIGHT = 4, 24
_DROPPED = ("script", "style", "title", "desc", "metadata")


def line(
    days: Sequence[str],
    values: Sequence[_Number | None],
    *,
    name: str,
    write: Callable[[_Number], str],
    steps: Sequence[tuple[_Number, str]] = (),
    limit: _Number | None = None,
) -> str:
    """A line chart; gaps where nothing is known.

    Args:
        days: one a value, as they stand at the axis.
        values: oldest first.
        name: of the chart, used as its id on the page: letters, digits and hyphens.
        write: a number as it is written at the axis.
        steps: fixed marks of the axis (value, words) instead of numbers.
        limit: a line that should not be crossed.

    """
    pygal = _pygal()
    known = [value for value in values if value is not None]
    top = max([*known, *(value for value, _ in steps), limit or 0, 1])
    chart = pygal.Line(
        style=pygal.style.Style(
            font_family="inherit", label_font_size=11, major_label_font_size=11, background="transparent"
        ),
        width=320,
        height=160,
        margin=6,
        margin_right=20,
        truncate_label=-1,
        show_legend=False,
        js=(),
        dots_size=3,
        range=(0, top),
        show_x_guides=False,
        allow_interruptions=True,
        max_scale=4,
        value_formatter=write,
    )
    chart.uuid = name
    chart.x_labels = list(days)
    chart.x_labels_major_count = 4
    chart.show_minor_x_labels = False
    if steps:
        chart.y_labels = [{"value": value, "label": words} for value, words in steps]
    chart.add("", list(values))
    if limit is not None:
        chart.add("", [limit] * len(values), show_dots=False)
    return _bare(chart.render_tree(), name)


@lru_cache(maxsize=1024)  # most domains stay as they are, and look the same
def spark(values: tuple[_Number | None, ...], *, top: _Number) -> str:
    """A line of a few pixels beside a name in a table."""
    pygal = _pygal()
    chart = pygal.Line(
        style=pygal.style.Style(background="transparent"),
        width=120,
        height=28,
        margin=2,
        spacing=0,
        js=(),
        range=(0, top),
        dots_size=2,
        allow_interruptions=True,
        show_legend=False,
        show_x_labels=False,
        show_y_labels=False,
        show_x_guides=False,
        show_y_guides=False,
    )
    chart.uuid = "spark"
    chart.add("", list(values))
    return _bare(chart.render_tree(), "spark")


def bars(values: Sequence[int]) -> str:
    """A bar for each day above a line, as high as the highest allows; what it shows has to be said beside it."""
    top = max([*values, 1])
    width = _BAR * max(1, len(values))
    drawn = "".join(
        f"M{_BAR * place} {_HEIGHT}v-{max(1.0, round(_HEIGHT * value / top, 2)):g}h{_BAR - 1}V{_HEIGHT}z"
        for place, value in enumerate(values)
        if value
    )
    return (
        f'<svg class="bars" viewBox="0 0 {width} {_HEIGHT + 1}" preserveAspectRatio="none" aria-hidden="true" '
        f'focusable="false"><path class="base" d="M0 {_HEIGHT}h{width}v1H0z"/><path d="{drawn}"/></svg>'
    )


def _pygal() -> Any:
    """Pygal without the import hook that it installs for plug-ins of its own, and without lxml.

    The hook is of a form that Python 3.12 dropped: before, every import that finds nothing warns because of it. lxml it
    takes where that happens to be installed, and then hands out a tree of lxml's.
    """
    import pygal
    import pygal.etree
    import pygal.style

    pygal.etree.etree.to_etree()

    for finder in list(sys.meta_path):
        if type(finder).__module__ == "pygal":
            sys.meta_path.remove(finder)
    return pygal


def _bare(tree: ElementTree.Element, name: str) -> str:
    """The drawing alone: a figure without text for machines, script, style or comments."""
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(ElementTree.tostring(tree))  # noqa: S314 - our own drawing; drops comments
    for parent in list(root.iter()):
        for child in list(parent):
            tag = child.tag.rpartition("}")[2]
            if tag in _DROPPED or not _HIDDEN.isdisjoint((child.get("class") or "").split()):
                parent.remove(child)
    for element in root.iter():
        element.attrib.pop("id", None)
        element.text = element.text.strip() if element.text else element.text
        element.tail = None
    root.set("class", "chart")
    root.set("aria-hidden", "true")
    root.set("focusable", "false")
    root.set("data-chart", name)
    return ElementTree.tostring(root, encoding="unicode")
