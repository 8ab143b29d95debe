"""A real Prometheus scrapes a real gateway, and the alert that belongs to a fault fires."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from talka_core.metering import Measure

ROOT = Path(__file__).parents[2]
RULES, DASHBOARDS = ROOT / "deploy" / "prometheus", ROOT / "deploy" / "grafana"
PATIENCE_S = 90.0
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="no prometheus is installed here"),
]

WORK = """
talka: 1
name: work
tasks:
  - {id: quick, agent_type: sleep, payload: {seconds: 0}}
  - {id: bad, agent_type: command, payload: {argv: ['false']}}
  - {id: slow, agent_type: sleep, payload: {seconds: 600}, requires: {rig: here}}
"""


def test_the_rules_do_what_they_say() -> None:
    """Promtool runs the rules over series in which each alert is to fire, or not."""
    for command in (["check", "config", "prometheus.yml"], ["test", "rules", "alerts.test.yml"]):
        done = subprocess.run(["promtool", *command], cwd=RULES, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    tested = (RULES / "alerts.test.yml").read_text(encoding="utf-8")
    rules = yaml.safe_load((RULES / "alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    assert [rule["alert"] for rule in rules if f"alertname: {rule['alert']}" not in tested] == []


def test_a_lost_worker_makes_its_alert_fire(tmp_path: Path) -> None:
    """Metrics are there as the rules name them; a worker that is killed is told, and nothing else is."""
    (tmp_path / "work.yaml").write_text(WORK)
    up = ("up", "--capacity", "cpu_cores=1", "--json", "--data-dir", "up", "--http-port", "0")
    worker = ("service", "worker", "--label", "rig=here", "--json", "--data-dir", "up")
    with _process(tmp_path, *up) as platform, _process(tmp_path, *worker) as rig:
        assert platform.stdout is not None
        assert rig.stdout is not None
        address = json.loads(platform.stdout.readline())["http"]
        assert json.loads(rig.stdout.readline())
        _talka(tmp_path, "submit", "work.yaml", "--data-dir", "up")
        with _prometheus(tmp_path, address) as ask:
            _wait(lambda: _value(ask, 'talka_tasks{status="running"}') == 1)
            _wait(lambda: _value(ask, 'talka_task_ended_total{status="failed"}') == 1)
            assert _value(ask, 'talka_pool_workers{state="ready"}') == 2
            assert _value(ask, "talka_log_append_seconds_count")
            assert _value(ask, 'talka_pool_used{resource="slots"}') == 1
            assert "TalkaWorkerLost" not in _firing(ask)
            for query in _panel_queries():
                assert ask("/query", {"query": query})["resultType"] == "vector", query
            rig.kill()
            _wait(lambda: "TalkaWorkerLost" in _firing(ask))
            assert "TalkaGatewayDown" not in _firing(ask)


def test_the_dashboards_are_as_they_are_written() -> None:
    """`python deploy/grafana/dashboards.py` changes nothing, and names only metrics that there are."""
    files = runpy.run_path(str(DASHBOARDS / "dashboards.py"))["written"]()
    assert {path: path.read_text(encoding="utf-8") for path in DASHBOARDS.glob("*.json")} == files
    source = (ROOT / "services" / "talka_services" / "gateway" / "metrics.py").read_text(encoding="utf-8")
    measured = {f"talka_{measure.value}" for measure in Measure}
    rules = yaml.safe_load((RULES / "alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    for query in [*_panel_queries(), *(rule["expr"] for rule in rules)]:
        for name in re.findall(r"talka_\w+", query):
            plain = re.sub(r"_(total|bucket|count)$", "", name)
            assert plain in measured or plain.removeprefix("talka_") in source, name


def _panel_queries() -> list[str]:
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(DASHBOARDS.glob("*.json"))]
    return [
        target["expr"].replace("$__rate_interval", "5m")
        for document in documents
        for panel in document["panels"]
        for target in panel["targets"]
    ]


@contextmanager
def _process(directory: Path, *words: str) -> Generator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "talka", *words], cwd=directory, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def _talka(directory: Path, *words: str) -> None:
    subprocess.run([sys.executable, "-m", "talka", *words], cwd=directory, check=True, timeout=60)


@contextmanager
def _prometheus(directory: Path, address: str) -> Generator[Callable[[str, dict[str, str]], Any]]:
    """Run Prometheus with the shipped rules, in a hurry, and yield what asks its API."""
    configuration = yaml.safe_load((RULES / "prometheus.yml").read_text(encoding="utf-8"))
    configuration["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    configuration["rule_files"] = [str(RULES / "alerts.yml")]
    configuration["scrape_configs"][0]["static_configs"][0]["targets"] = [address.removeprefix("http://")]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = ["prometheus", "--config.file=prometheus.yml", f"--storage.tsdb.path={directory / 'series'}"]
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [*argv, f"--web.listen-address=127.0.0.1:{port}"], cwd=directory, stdout=log, stderr=log
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:

            def is_ready() -> bool:
                assert process.poll() is None, (directory / "prometheus.log").read_text()
                try:
                    return client.get("/-/ready").is_success
                except httpx.TransportError:
                    return False

            _wait(is_ready)
            yield (
                lambda path, query: (
                    client.get(f"/api/v1{path}", params=query).raise_for_status().json()["data"]
                )
            )
    finally:
        process.terminate()
        process.wait(30)


def _value(ask: Callable[[str, dict[str, str]], Any], series: str) -> float | None:
    found = ask("/query", {"query": series})["result"]
    return float(found[0]["value"][1]) if found else None


def _firing(ask: Callable[[str, dict[str, str]], Any]) -> set[str]:
    alerts = ask("/alerts", {})["alerts"]
    return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


def _wait(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.2)
