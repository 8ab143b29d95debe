"""Lower bounds: what no schedule can beat."""

from __future__ import annotations

from talka_core.search.project import Project


def lower_bound(project: Project) -> int:
    """Return the best bound known here, in milliseconds."""
    return max(_critical_path(project), _work(project))


def _critical_path(project: Project) -> int:
    return max(
        (h + d + t for h, d, t in zip(project.heads, project.durations, project.tails, strict=True)),
        default=0,
    )


def _work(project: Project) -> int:
    most = 0
    for resource, capacity in enumerate(project.capacity):
        work = sum(d * needs[resource] for d, needs in zip(project.durations, project.demands, strict=True))
        most = max(most, -(-work // capacity))
    return most
