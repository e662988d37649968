"""What `deliv watch` sees, a line a server."""

from __future__ import annotations

from collections.abc import Sequence

from deliverability.model.watch import Sight, SightState, WatchedServer
from deliverability.words.details import detail_words
from deliverability.words.sentences import Phrases, duration, shortened, visible

_MARKS = {
    SightState.VISIBLE: ("✓", "+"),
    SightState.OTHER: ("✗", "x"),
    SightState.ALIAS: ("✗", "x"),
    SightState.NONE: ("✗", "x"),
    SightState.UNKNOWN: ("?", "?"),
}


def server_name(server: WatchedServer, say: Phrases) -> str:
    """A server with its address."""
    name = visible(server.name)
    apart = server.address not in ("", server.name)
    return name + (say("punctuation.aside", text=visible(server.address)) if apart else "")


def server_names(servers: Sequence[WatchedServer], say: Phrases) -> str:
    """Servers as a list."""
    return say("value.separator").join(server_name(each, say) for each in servers)


def sight_line(sight: Sight, say: Phrases, *, authoritative: bool, unicode: bool) -> str:
    """One server: its mark and what it has; a resolver's old answer with the time at which it ends, local time."""
    fancy, plain = _MARKS[sight.state]
    values = say("value.separator").join(visible(shortened(each, 120)) for each in sight.values)
    if sight.state is SightState.VISIBLE and values:
        text = say("watch.sight.visible-among", values=values)
    else:
        why = visible(detail_words(sight.problem, say)) if sight.problem else ""
        text = say(f"watch.sight.{sight.state.value}", values=values, why=why)
    if sight.state in (SightState.OTHER, SightState.ALIAS, SightState.NONE) and sight.until is not None:
        time = {"span": duration(sight.ttl, say), "time": sight.until.astimezone().strftime("%H:%M")}
        text += say("punctuation.aside", text=say("watch.kept" if authoritative else "watch.until", **time))
    return f"{fancy if unicode else plain} {server_name(sight.server, say)}{say('punctuation.colon')}{text}"
