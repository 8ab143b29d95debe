"""What embedded workers offer follows from the flags, the trace and the machine."""

from __future__ import annotations

from itertools import pairwise

from talka_services.cli.command import Target
from talka_services.cli.embedding import WORKERS_MAX, Flags, local_options, shapes
from talka_services.cli.scaling import worker_arguments

OWN = {"cpu_cores": 2.0, "memory_mb": 100.0}
SMALL, LARGE = {"cpu_cores": 4.0}, {"cpu_cores": 48.0}


def test_without_a_trace_each_worker_offers_what_the_machine_has() -> None:
    """--capacity has the last word on each amount."""
    assert shapes(Flags(), [], OWN) == [OWN]
    assert shapes(Flags(2, {"cpu_cores": 16.0}), [], OWN) == [{"cpu_cores": 16.0, "memory_mb": 100.0}] * 2


def test_a_trace_brings_its_machines() -> None:
    """One worker a machine, up to a bound, so that a trace of a cluster does not start hundreds."""
    assert shapes(Flags(), [SMALL, LARGE], OWN) == [SMALL, LARGE]
    assert len(shapes(Flags(), [SMALL] * 500, OWN)) == WORKERS_MAX


def test_with_fewer_workers_than_machines_all_are_as_large_as_the_largest() -> None:
    """So every task still fits; with more workers the machines repeat."""
    assert shapes(Flags(1), [SMALL, LARGE], OWN) == [LARGE]
    assert shapes(Flags(3), [SMALL, LARGE], OWN) == [SMALL, LARGE, SMALL]


def test_worker_processes_offer_and_know_what_the_platform_was_told() -> None:
    """A worker that `talka up --scale` starts allows, offers and reads secrets like one in its process."""
    flags = Flags(capacity={"cpu_cores": 2.0}, allow_commands=("git",), secrets_dir="/run/secrets")
    told = worker_arguments(Target(), local_options(Target(), flags))
    pairs = set(pairwise(told))
    assert {("--secrets-dir", "/run/secrets"), ("--allow-command", "git")} <= pairs
    assert any(option == "--capacity" and value == "cpu_cores=2.0" for option, value in pairs)
