"""Tasks that require and prefer labels, and workers that have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from msgspec.structs import replace

from talka_chaos.graphs import AGENT_TYPE
from talka_protocols.messages import RegisterWorker
from talka_protocols.ports import Attempt
from talka_protocols.workflow import Task, Workflow

SHARE = 0.3


def labels_of(worker_id: str) -> dict[str, str]:
    """Return what a worker is labelled with: the first one, which there always is, is in zone ``a``."""
    return {"zone": "a" if int(worker_id.lstrip("w") or 0) % 2 == 0 else "b"}


def offer_of(pool: str, worker_id: str, slots: int, cores: float) -> RegisterWorker:
    """Return what a worker offers."""
    capacity = {"cpu_cores": cores}
    return RegisterWorker(pool, worker_id, 0, (AGENT_TYPE,), slots, capacity, labels=labels_of(worker_id))


def with_labels(seed: int, workflows: Sequence[Workflow]) -> list[Workflow]:
    """Let some tasks of some seeds ask for labels; no other draw of the seed depends on it."""
    random = Random(f"labels {seed}")  # noqa: S311  (the same for the same seed is the point)
    if random.random() >= SHARE:
        return list(workflows)
    return [
        replace(workflow, tasks=tuple(_labelled(random, task) for task in workflow.tasks))
        for workflow in workflows
    ]


def _labelled(random: Random, task: Task) -> Task:
    if task.agent_type != AGENT_TYPE:
        return task
    requires = {"zone": "a"} if random.random() < 0.4 else {}
    prefers = {"zone": random.choice("ab")} if random.random() < 0.3 else {}
    return replace(task, requires=requires, prefers=prefers)


def label_faults(attempt: Attempt) -> Iterator[str]:
    """L1 yield that an attempt runs on a worker without the labels that it requires."""
    labels = labels_of(attempt.worker_id)
    if not attempt.task.requires.items() <= labels.items():
        yield f"L1 {attempt.execution_id}/{attempt.task.id} runs on {attempt.worker_id}, which is {labels}"
