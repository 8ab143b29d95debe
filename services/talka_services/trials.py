"""Trials of a workflow in a simulated cluster that fails: what is asked and answered, and who answers.

The simulation is another package of the distribution, which services never
import: it comes by an entry point of the group ``talka.trials``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points

from msgspec import Struct

from talka_protocols.errors import CallerError
from talka_protocols.workflow import Workflow

GROUP = "talka.trials"


class Fault(Struct, frozen=True):
    """A fault that happened: its kind, and the virtual second."""

    kind: str
    at_s: float


class Stopped(Struct, frozen=True):
    """A task that did not succeed, after so many attempts, and why."""

    task_id: str
    status: str
    attempts: int
    error: str


class Trial(Struct, frozen=True):
    """One seed: how the execution ended, which faults happened, and what was violated.

    ``attempts`` really ran. ``stopped`` are the tasks that failed, or ran out of time, in an execution
    that did not succeed. If anything was violated, ``faults`` are the fewest that were found to be
    needed for that, in their order; ``injected`` counts all that happened at first, by kind.
    """

    seed: int
    status: str
    virtual_s: float
    attempts: int
    events: int
    injected: dict[str, int]
    violations: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    stopped: tuple[Stopped, ...] = ()


class Site(Struct, frozen=True):
    """Where the workflow is tried: what each worker offers, and what the pool has as a whole."""

    offers: Sequence[Mapping[str, float]]
    shared: Mapping[str, float] = {}


Trier = Callable[[Workflow, Site, Sequence[int]], Iterator[Trial]]
"""Tries a workflow under the faults of each seed; raises WorkflowInvalidError if it can never run there."""


class NoTrialsError(CallerError):
    """Nobody here can simulate a cluster that fails."""

    code = "no_trials"


def trier() -> Trier:
    """Return who tries workflows.

    Raises:
        NoTrialsError: this installation lacks the package.
    """
    for point in entry_points(group=GROUP):
        try:
            found: Trier = point.load()
        except ImportError:
            continue
        return found
    raise NoTrialsError(
        "This installation cannot simulate a cluster that fails: its package talka_chaos is missing.",
        hint="Install Talka from its wheel or its repository; both bring it.",
    )
