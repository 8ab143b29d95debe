"""Writes the Grafana dashboards beside this file: ``python deploy/grafana/dashboards.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
WIDTH, HEIGHT = 12, 8
SOURCE = {"type": "prometheus", "uid": "${source}"}


class Panel(NamedTuple):
    """One picture: its title, its unit, and queries with their legends."""

    title: str
    unit: str
    queries: dict[str, str]
    kind: str = "timeseries"


def quantiles(measure: str, by: str = "agent_type") -> dict[str, str]:
    """Return the queries for the median and the 95th percentile of a duration."""
    series = f"sum by (le, {by}) (rate(talka_{measure}_bucket[$__rate_interval]))"
    shares = {"p50": 0.5, "p95": 0.95}
    return {f"{name} {{{{{by}}}}}": f"histogram_quantile({q}, {series})" for name, q in shares.items()}


BAD = 'talka_task_ended_total{status=~"failed|timed_out"}'
EVERY = "[$__rate_interval]"

DASHBOARDS: dict[str, list[Panel]] = {
    "executions": [
        Panel("Executions by status", "short", {"{{status}}": "sum by (status) (talka_executions)"}, "stat"),
        Panel("Tasks of what goes on", "short", {"{{status}}": "sum by (status) (talka_tasks)"}),
        Panel(
            "Ended per minute",
            "short",
            {"{{status}}": "60 * sum by (status) (rate(talka_execution_ended_total[$__rate_interval]))"},
        ),
        Panel("How long executions take", "s", quantiles("execution_seconds", "status")),
    ],
    "resources": [
        Panel(
            "In use",
            "percentunit",
            {"{{pool}} {{resource}}": "talka_pool_used / (talka_pool_capacity > 0)"},
        ),
        Panel("Waiting requests", "short", {"{{pool}}": "talka_pool_waiting"}),
        Panel("Workers", "short", {"{{pool}} {{state}}": "talka_pool_workers"}),
        Panel("Wait for resources", "s", quantiles("task_resource_wait_seconds")),
        Panel("Reservations", "short", {"{{pool}}": "talka_pool_reservations"}),
    ],
    "failures": [
        Panel(
            "Share of tasks that fail",
            "percentunit",
            {
                "{{agent_type}}": f"sum by (agent_type) (rate({BAD}{EVERY}))"
                f" / sum by (agent_type) (rate(talka_task_ended_total{EVERY}))"
            },
        ),
        Panel(
            "Retries per minute, by reason",
            "short",
            {"{{code}}": "60 * sum by (code) (rate(talka_task_retried_total[$__rate_interval]))"},
        ),
        Panel(
            "Attempts lost with their workers",
            "short",
            {"{{agent_type}}": f"sum by (agent_type) (increase(talka_task_attempt_lost_total{EVERY}))"},
        ),
        Panel("Open circuit breakers", "short", {"{{pool}} {{agent_type}}": "talka_pool_breaker_open"}),
    ],
    "performance": [
        Panel(
            "Tasks per second",
            "short",
            {"{{agent_type}}": "sum by (agent_type) (rate(talka_task_ended_total[$__rate_interval]))"},
        ),
        Panel("From ready to scheduled", "s", quantiles("task_queue_seconds")),
        Panel("From ready to asking the pool", "s", quantiles("task_scheduling_seconds")),
        Panel("From scheduled to running", "s", quantiles("task_dispatch_seconds")),
        Panel("Run times", "s", quantiles("task_run_seconds")),
        Panel("How far from the ETA executions end", "s", quantiles("eta_error_seconds")),
        Panel(
            "Ends by the ETA for nine of ten cases",
            "percentunit",
            {
                "share": 'sum(rate(talka_eta_error_seconds_count{held="yes"}[$__rate_interval])) '
                "/ sum(rate(talka_eta_error_seconds_count[$__rate_interval]))"
            },
        ),
    ],
    "services": [
        Panel("Gateways that answer", "short", {"{{instance}}": 'up{job="talka"}'}, "stat"),
        Panel("Versions", "short", {"{{version}}": "count by (version) (talka_build_info)"}, "stat"),
        Panel("Messages that wait for actors", "short", {"{{kind}} {{address}}": "talka_inbox_messages"}),
        Panel("From a decision to its being stored", "s", quantiles("log_append_seconds")),
        Panel(
            "How old the picture is",
            "s",
            {"{{instance}}": "time() - talka_scraped_at_seconds"},
        ),
    ],
}


def dashboard(name: str, panels: list[Panel]) -> dict[str, Any]:
    """Return a dashboard as Grafana stores it."""
    return {
        "uid": f"talka-{name}",
        "title": f"Talka: {name}",
        "tags": ["talka"],
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus"}]},
        "links": [{"type": "dashboards", "tags": ["talka"], "title": "Talka", "asDropdown": True}],
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    place = {"x": number % 2 * WIDTH, "y": number // 2 * HEIGHT, "w": WIDTH, "h": HEIGHT}
    targets = [
        {"refId": chr(ord("A") + i), "expr": expression, "legendFormat": legend, "datasource": SOURCE}
        for i, (legend, expression) in enumerate(panel.queries.items())
    ]
    return {
        "id": number + 1,
        "type": panel.kind,
        "title": panel.title,
        "gridPos": place,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": targets,
    }


def written() -> dict[Path, str]:
    """Return what each file holds."""
    return {
        HERE / f"{name}.json": json.dumps(dashboard(name, panels), indent=1) + "\n"
        for name, panels in DASHBOARDS.items()
    }


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text, encoding="utf-8")
