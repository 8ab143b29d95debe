"""Fixtures for tests on real processes: clusters that show their logs when a test fails."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from talka_chaos.processes import NODES, Cluster
from talka_chaos.verifier import Verifier

_alive: list[Cluster] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the ends of the logs of all clusters to the report of a failed test."""
    report = yield
    if report.failed:
        report.sections.extend((f"logs in {cluster.directory}", cluster.tail()) for cluster in _alive)
    return report


@contextmanager
def _living(cluster: Cluster) -> Generator[Cluster]:
    _alive.append(cluster)
    try:
        yield cluster
    finally:
        cluster.discard()
        _alive.remove(cluster)


@pytest.fixture(autouse=True)
def _clusters_histories_hold(request: pytest.FixtureRequest, verifier: Verifier) -> Iterator[None]:
    """Fail a test after which some history of its cluster does not hold, whether its server runs or not."""
    clusters = [
        request.getfixturevalue(name)
        for name in ("cluster", "shared_cluster", "node_cluster")
        if name in request.fixturenames
    ]
    yield
    for cluster in clusters:
        place = str(cluster.store)
        is_up = any(cluster[name].is_running for name in cluster.servers)
        looking = verifier.server(cluster.url, place) if is_up else verifier.store(cluster.store)
        assert asyncio.run(looking) == []


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster for all tests of a module; each puts right what it breaks. Nothing of it is started."""
    with _living(Cluster(tmp_path_factory.mktemp("cluster"))) as cluster:
        yield cluster


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where the server of ``cluster`` keeps its streams."""
    return tmp_path / "store"


@pytest.fixture
def cluster(tmp_path: Path, store: Path) -> Iterator[Cluster]:
    """A cluster of the test's own. Nothing of it is started."""
    with _living(Cluster(tmp_path, store=store)) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def node_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of three servers for all tests of a module. Nothing of it is started."""
    with _living(Cluster(tmp_path_factory.mktemp("nodes"), servers=NODES)) as cluster:
        yield cluster
