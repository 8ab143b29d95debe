"""A trace as bars in a terminal: one row for each task, one shade for each thing it spent time on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from talka_services.cli.screen import duration, plain

if TYPE_CHECKING:
    from rich.text import Text

    from talka_protocols.tracing import Span, Trace

LABEL_MAX = 32
BAR_MIN = 20
LEGEND = (
    ("·", "queue", "dim"),
    ("░", "resource wait", "yellow"),
    ("█", "attempt", "green"),
    ("▓", "failed attempt", "red"),
    ("─", "wait or pause", "magenta"),
)
_SHADES = {"queue": ("·", "dim"), "resource wait": ("░", "yellow"), "dispatch": ("·", "dim")}
_ATTEMPTS = {"ok": ("█", "green"), "error": ("▓", "red"), "unset": ("█", "cyan")}


def gantt(trace: Trace, width: int, rows_max: int) -> Iterator[Text]:
    """Yield the lines of the chart, ``width`` columns wide, with at most ``rows_max`` tasks."""
    from rich.text import Text

    root = trace.spans[0]
    tasks = _tasks(trace)
    names = sorted(tasks, key=lambda task_id: tasks[task_id][0].began_at)
    label = min(LABEL_MAX, max((len(plain(name)) for name in names), default=0))
    room = max(BAR_MIN, width - label - 12)
    scale = room / max(1, root.ended_at - root.began_at)
    yield Text(f"{'':{label}}  0{duration((root.ended_at - root.began_at) / 1000):>{room - 1}}", style="dim")
    for name in names[:rows_max]:
        bar = _bar(tasks[name], root.began_at, scale, room)
        took = sum(s.ended_at - s.began_at for s in tasks[name] if s.parent_id == root.span_id)
        yield Text.assemble((f"{_short(name, label):{label}}  "), bar, f"  {duration(took / 1000)}")
    if len(names) > rows_max:
        yield Text(f"and {len(names) - rows_max} more tasks: --rows {len(names)} shows all", style="dim")
    yield Text.assemble(*((f"{shade} {name}   ", style) for shade, name, style in LEGEND))


def _tasks(trace: Trace) -> dict[str, list[Span]]:
    """Return the spans of each task: those of its runs, and of their phases."""
    owner: dict[str, str] = {}
    tasks: dict[str, list[Span]] = {}
    root = trace.spans[0]
    for span in trace.spans[1:]:
        is_run = span.parent_id == root.span_id
        task_id = str(span.attributes.get("talka.task.id", "")) if is_run else owner.get(span.parent_id, "")
        if task_id:
            owner[span.span_id] = task_id
            tasks.setdefault(task_id, []).append(span)
    return tasks


def _bar(spans: list[Span], origin: int, scale: float, room: int) -> Text:
    """Return the bar: what ran is drawn last, so that no attempt is too short to be seen."""
    from rich.text import Text

    cells = [(" ", "")] * room
    for span in sorted(spans, key=lambda each: each.service == "worker"):
        if (shade := _shade(span)) is None:
            continue
        first = min(room - 1, int((span.began_at - origin) * scale))
        last = max(first + 1, min(room, round((span.ended_at - origin) * scale)))
        cells[first:last] = [shade] * (last - first)
    return Text.assemble(*cells)


def _shade(span: Span) -> tuple[str, str] | None:
    if span.service == "worker":
        return _ATTEMPTS[span.outcome]
    if span.name.startswith(("wait", "pause", "parked")):
        return "─", "magenta"
    return _SHADES.get(span.name)


def _short(name: str, width: int) -> str:
    name = plain(name)
    return name if len(name) <= width else f"{name[: width - 1]}…"
