"""Goal: whole clusters of real actors survive every fault that a seed draws, and the simulation can tell.

Method: virtual time, ports in memory that fail, and judges that look at the logs. A failing seed is run
again with ``python -m talka_chaos --seeds 1 --from SEED --verbose``.
"""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from tests.simulation.catching import catching_seed, recorded

from talka_chaos.mutants import MUTANTS
from talka_chaos.sim import run
from talka_chaos.swarm import Faults

CALM = Faults(
    storm_s=1.0,
    delay_s=0.001,
    tail=0.0,
    reorder=0.0,
    duplicate=0.0,
    redeliver=0.0,
    slow_append=0.0,
    post_error=0.0,
    crash_at_call=0.0,
    heartbeat_loss=0.0,
    task_failure=0.0,
    crash_every_s=1e9,
    lease_loss_every_s=1e9,
    inbox_loss_every_s=1e9,
    cut_off_every_s=1e9,
)
MUTANT_CASES = [
    pytest.param(name, marks=() if name in recorded() else pytest.mark.nightly) for name in sorted(MUTANTS)
]
"""Until the world that catches a mutant is on record, it is looked for, which takes long."""


@pytest.mark.parametrize("seed", range(30))
def test_healthy_code_passes(seed: int) -> None:
    """Nothing is wrong with this world when its storm is over."""
    report = run(seed)
    assert report.is_healthy, "\n".join(report.findings)


def test_calm_world_is_healthy() -> None:
    """Without any fault everything ends soon after its last submission."""
    report = run(7, faults=CALM)
    assert report.is_healthy, "\n".join(report.findings)
    assert report.virtual_s < 200.0


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", MUTANT_CASES)
def test_mutant_is_caught(name: str) -> None:
    """The simulation notices this planted bug: in the world on record, or in another of a bounded number."""
    assert catching_seed(name, recorded().get(name)) is not None


def test_enough_mutants_are_planted() -> None:
    """Each safeguard that is named here has a mutant without it, so that none is dropped unnoticed."""
    named = {"fence_ignored", "acknowledged_too_early", "resume_forgotten", "retry_forgotten"}
    assert named | recorded().keys() <= MUTANTS.keys()
    assert len(MUTANTS) >= 20


@pytest.mark.slow
def test_program_counts_the_faults_of_every_process() -> None:
    """Worlds that processes share give the same counts as one after the other, and lack the same events."""
    command = [sys.executable, "-m", "talka_chaos", "--seeds", "4", "--from", "3", "--every-kind", "--jobs"]
    shown = [subprocess.run([*command, jobs], capture_output=True, text=True, check=False) for jobs in "12"]
    alone, shared = (done.stdout.splitlines()[:3] for done in shown)
    assert alone == shared
    assert re.search(r"faults: .*\bcrash [1-9]", alone[0])
    assert re.search(r"never happened: .*\bTaskStepFinished\b", alone[2])
    assert "TaskScheduled" not in alone[2]
    assert [done.returncode for done in shown] == [1, 1]
    assert "0 failed" in shown[0].stdout


def test_same_seed_same_trace() -> None:
    """Two runs of a seed do the same things at the same virtual times."""
    first, second = run(11), run(11)
    assert (first.digest, first.happenings) == (second.digest, second.happenings)


def test_trace_does_not_depend_on_hash_seeds() -> None:
    """Another process, with another order of sets and string hashes, runs a seed the same way."""
    program = "from talka_chaos.sim import run; print(run(6).digest, run(11).digest)"
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("1", "2", "3")
    }
    assert len(digests) == 1
