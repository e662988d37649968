"""Metrics in Prometheus' text format, for node_exporter's textfile collector: gauges with help, type and labels."""

from __future__ import annotations

from collections.abc import Mapping

from deliverability.words.sentences import visible


class Gauges:
    """Samples by metric; everything is written at the end, because those of a metric have to stand together.

    A series appears once: of two samples with the same labels the later one counts. A metric without samples is not
    written: what is not known is an absent series, never a zero.
    """

    def __init__(self, meanings: Mapping[str, str]) -> None:
        """`meanings`: every metric with its help text, in the order in which they are written."""
        self._meanings = meanings
        self._samples: dict[str, dict[str, float]] = {name: {} for name in meanings}

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a sample; labels are shown in the order in which they are given."""
        self._samples[name][",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())] = value

    def text(self) -> str:
        """All metrics that have samples, each with its help and type once."""
        lines: list[str] = []
        for name, samples in self._samples.items():
            if samples:
                lines += [f"# HELP {name} {self._meanings[name]}", f"# TYPE {name} gauge"]
                lines += [f"{name}{labels and f'{{{labels}}}'} {value:.15g}" for labels, value in samples.items()]
        return "".join(f"{line}\n" for line in lines)


def _escaped(text: str) -> str:
    """A label value: line ends and the like written out, backslashes and quotes escaped as the format demands."""
    return visible(text).replace("\\", "\\\\").replace('"', '\\"')
