"""How the embedded platform of ``run`` and ``up`` is set up from their flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talka_protocols.policies import Breaker, ScalingPolicy
from talka_services.cli.command import Target
from talka_services.cli.outcome import UsageError

if TYPE_CHECKING:
    from talka_services.client import LocalOptions

WORKERS_MAX = 16
"""The most workers that a trace starts by itself; its machines may be hundreds."""
DURABILITIES = ("power", "process")
ALL = ("*",)


@dataclass(frozen=True)
class Flags:
    """The flags that shape embedded workers and their server; None where not given."""

    workers: int | None = None
    capacity: Mapping[str, float] = field(default_factory=dict[str, float])
    time_scale: float = 1.0
    durability: str | None = None
    allow_modules: Sequence[str] = ()
    allow_commands: Sequence[str] = ()
    processes: int | None = None
    shared: Mapping[str, float] = field(default_factory=dict[str, float])
    breakers: Mapping[str, Breaker] = field(default_factory=dict[str, Breaker])
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    scaling: ScalingPolicy | None = None
    quotas: Mapping[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    secrets_dir: str | None = None
    strategy: str = ""

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            UsageError: one of them does not.
        """
        if self.workers is not None and not 1 <= self.workers <= 1000:
            raise UsageError(f"--workers is {self.workers}.", hint="Give 1 to 1000.")
        if self.workers is not None and self.scaling is not None:
            raise UsageError("--workers and --scale contradict each other.", hint="Give one of them.")
        if not 0 <= self.time_scale <= 1e6:
            raise UsageError(
                f"--time-scale is {self.time_scale}.", hint="Give a number from 0, such as 0.01."
            )
        if self.strategy:
            from talka_services.cli.loading import known_strategy

            known_strategy(self.strategy)
        if self.durability not in (None, *DURABILITIES):
            raise UsageError(f"--durability is {self.durability!r}.", hint="Give power or process.")

    def given(self) -> list[str]:
        """Return the flags that only an embedded platform of one's own can obey."""
        values = {
            "--workers": self.workers,
            "--capacity": self.capacity,
            "--shared": self.shared,
            "--breaker": self.breakers,
            "--label": self.labels,
            "--quota": self.quotas,
            "--weight": self.weights,
            "--durability": self.durability,
            "--processes": self.processes,
            "--allow-module": self.allow_modules,
            "--allow-command": self.allow_commands,
            "--secrets-dir": self.secrets_dir,
        }
        return [flag for flag, value in values.items() if value]


def shapes(
    flags: Flags, machines: Sequence[Mapping[str, float]], own: Mapping[str, float]
) -> list[dict[str, float]]:
    """Return what each embedded worker offers.

    A trace brings its machines; with fewer workers than machines all are as
    large as its largest. ``--capacity`` has the last word on each amount.
    """
    from talka_core.simulation import shapes as shaped

    return shaped(machines, own, flags.workers, flags.capacity, WORKERS_MAX)


def local_options(target: Target, flags: Flags, machines: Sequence[Mapping[str, float]] = ()) -> LocalOptions:
    """Return the options of an embedded platform."""
    from talka_services.client import LocalOptions
    from talka_services.executors.registry import ExecutorSettings
    from talka_services.machine import machine_capacity

    changes: dict[str, Any] = {} if flags.processes is None else {"processes": flags.processes}
    settings = ExecutorSettings(
        allow_modules=tuple(flags.allow_modules) or ALL,
        allow_commands=tuple(flags.allow_commands) or ALL,
        time_scale=flags.time_scale,
        **changes,
    )
    return LocalOptions(
        data_dir=Path(target.data_dir),
        durability=_durability(target, flags),
        namespace=target.namespace,
        offers=tuple(shapes(flags, machines, machine_capacity())),
        executors=settings,
        shared=dict(flags.shared),
        breakers=dict(flags.breakers),
        labels=dict(flags.labels),
        scaling=flags.scaling,
        quotas=dict(flags.quotas),
        weights=dict(flags.weights),
        strategy=flags.strategy,
        secrets_dir=flags.secrets_dir,
    )


def _durability(target: Target, flags: Flags) -> Any:
    from talka_services.cli.reach import running_durability

    return flags.durability or running_durability(target.data_dir) or "power"
