"""The Talka file as structs: what its fields are called, mean and hold.

The JSON schema is generated from these, so the descriptions here are what an
editor shows. Ranges are told to editors but checked by core, whose messages
are better.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from talka_protocols.policies import Action, Concurrency, Join, Loop, MapOver, OnFailure, Rate, RetryPolicy
from talka_protocols.workflow import (
    DEFAULT_PRIORITY,
    DEFAULT_TENANT,
    ResourceRequirements,
    Strategy,
    TaskType,
)

FORMAT_VERSION = 1

_ID_PATTERN = r"^[^\s${}]{1,200}$"

Id = Annotated[
    str,
    Meta(
        description="1 to 200 printable characters without spaces, $, { and }; unique in the workflow.",
        extra_json_schema={"pattern": _ID_PATTERN},
    ),
]
Seconds = Annotated[float, Meta(extra_json_schema={"exclusiveMinimum": 0})]


class DependencyEntry(
    Struct, forbid_unknown_fields=True, omit_defaults=True, rename={"from_task": "from", "to_task": "to"}
):
    """The task ``to`` starts only after the task ``from`` succeeded."""

    from_task: Id
    to_task: Id
    reason: Annotated[str, Meta(description="Why, for people.")] = "declared"


class TaskEntry(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One unit of work."""

    id: Id
    agent_type: Annotated[
        str, Meta(description="What runs it: command, python, sleep, http, ... or an agent's own type.")
    ]
    name: Annotated[str, Meta(description="For people.")] = ""
    type: Annotated[TaskType, Meta(description="What it mostly uses; gives isolation and placement.")] = (
        TaskType.IO
    )
    payload: Annotated[
        dict[str, Any],
        Meta(
            description="The input of what runs it. ${task.field} stands for a part of another task's result "
            "and makes this one wait for it; ${input.NAME} for an input; $${ for a literal ${."
        ),
    ] = {}
    resources: Annotated[
        ResourceRequirements,
        Meta(description="What one attempt holds: cores, MiB, MiB, Mbit/s, GPUs, units."),
    ] = ResourceRequirements()
    priority: Annotated[
        int, Meta(description="Higher goes first.", extra_json_schema={"minimum": 0, "maximum": 100})
    ] = DEFAULT_PRIORITY
    timeout_seconds: Annotated[Seconds | None, Meta(description="For one attempt.")] = None
    retries: Annotated[
        int,
        Meta(
            description="Attempts allowed after the first.", extra_json_schema={"minimum": 0, "maximum": 1000}
        ),
    ] = 0
    depends_on: Annotated[
        list[str], Meta(description="Ids of tasks that must succeed first, besides those that are detected.")
    ] = []
    reads: Annotated[
        list[str],
        Meta(description="Artifacts (paths or names) it reads; it waits for the task that writes them."),
    ] = []
    writes: Annotated[
        list[str], Meta(description="Artifacts it writes; no other task may write the same.")
    ] = []
    estimated_seconds: Annotated[
        float | None, Meta(description="How long it probably takes.", extra_json_schema={"minimum": 0})
    ] = None
    labels: Annotated[dict[str, str], Meta(description="Free words to find it by.")] = {}
    requires: Annotated[
        dict[str, str], Meta(description="Labels that a worker must have to be given it.")
    ] = {}
    prefers: Annotated[
        dict[str, str], Meta(description="Labels of the workers that are rather given it.")
    ] = {}
    retry: Annotated[
        RetryPolicy, Meta(description="How long to wait between attempts, and which errors are worth one.")
    ] = RetryPolicy()
    start_timeout_seconds: Annotated[
        Seconds | None,
        Meta(description="From being ready to having started on a worker; then it has timed out."),
    ] = None
    heartbeat_timeout_seconds: Annotated[
        Seconds | None,
        Meta(description="How long an attempt may neither beat nor save; then it has timed out."),
    ] = None
    fallback: Annotated[
        Action | None, Meta(description="Runs in its place when the last attempt failed.")
    ] = None
    on_failure: Annotated[
        OnFailure | None, Meta(description="What its failure means to others; the workflow's if left out.")
    ] = None
    join: Annotated[
        Join | int,
        Meta(description="How many of what it needs must have succeeded: all, any, first, done or a number."),
    ] = Join.ALL
    when: Annotated[str, Meta(description="CEL: the task is skipped unless it holds.")] = ""
    map: Annotated[MapOver | None, Meta(description="Run it once for each item of a list.")] = None
    loop: Annotated[Loop | None, Meta(description="Run it again until a condition holds.")] = None
    workflow: Annotated[
        dict[str, Any] | None,
        Meta(description="For the agent type workflow: a Talka document, whose inputs the payload gives."),
    ] = None
    workflow_file: Annotated[
        str | None, Meta(description="The same from a file of its own, relative to this one.")
    ] = None
    compensation: Annotated[Action | None, Meta(description="What undoes its effect.")] = None
    irreversible: Annotated[bool, Meta(description="Nothing undoes its effect.")] = False
    preemptible: Annotated[
        bool, Meta(description="It may be stopped, and begun again later, for a task that is nearly late.")
    ] = False
    group: Annotated[
        str, Meta(description="The tasks of a group succeed together, or those that did are undone.")
    ] = ""
    gang: Annotated[
        str, Meta(description="The tasks of a gang are granted their resources together, or none of them.")
    ] = ""
    reservation: Annotated[
        str, Meta(description="The id of a reservation that was made in advance, which it uses.")
    ] = ""
    concurrency: Annotated[
        Concurrency | None, Meta(description="The most attempts with the same key at once in a pool.")
    ] = None
    rate: Annotated[
        Rate | None, Meta(description="The most starts with the same key in a pool within a time.")
    ] = None
    deadline_seconds: Annotated[
        float | None,
        Meta(
            description="When it should have succeeded, counted from the beginning of the execution.",
            extra_json_schema={"minimum": 0},
        ),
    ] = None
    weight: Annotated[
        float,
        Meta(
            description="How much each second counts by which it misses its deadline.",
            extra_json_schema={"minimum": 0},
        ),
    ] = 1.0


class WorkflowFile(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A workflow: a graph of tasks with resource needs."""

    talka: Annotated[Literal[1], Meta(description="The version of this file format.")]
    name: Annotated[str, Meta(description="For people.", extra_json_schema={"minLength": 1})]
    tasks: Annotated[list[TaskEntry], Meta(extra_json_schema={"minItems": 1})]
    id: Annotated[
        Id | None, Meta(description="Identifies the definition; derived from its content when left out.")
    ] = None
    inputs: Annotated[
        dict[str, Any],
        Meta(description="Inputs by name, with the default; null makes one required. Used as ${input.NAME}."),
    ] = {}
    max_parallel: Annotated[
        int | None, Meta(description="Most tasks at once.", extra_json_schema={"minimum": 1})
    ] = None
    timeout_seconds: Annotated[Seconds | None, Meta(description="For the whole execution.")] = None
    strategy: Annotated[
        Strategy | None,
        Meta(description="The order in which ready tasks are offered; left out: that of the pool."),
    ] = None
    pool: Annotated[str, Meta(description="The pool of workers that runs it.")] = "default"
    on_failure: Annotated[
        OnFailure,
        Meta(description="What the failure of a task means to the others: skip, continue, fail_fast."),
    ] = OnFailure.SKIP
    tolerated_failures: Annotated[
        int,
        Meta(
            description="So many failed tasks make it partial, not failed.", extra_json_schema={"minimum": 0}
        ),
    ] = 0
    tolerated_failure_share: Annotated[
        float | None,
        Meta(description="The same as a share of all tasks.", extra_json_schema={"minimum": 0, "maximum": 1}),
    ] = None
    fail_on_violation: Annotated[
        bool, Meta(description="A task fails whose artifacts show that a dependency is missing.")
    ] = False
    wall_time: Annotated[
        bool, Meta(description="The time limit goes on while the execution is paused or only waits.")
    ] = False
    deadline_seconds: Annotated[
        float | None,
        Meta(
            description="When all should be over, counted from the beginning.",
            extra_json_schema={"minimum": 0},
        ),
    ] = None
    custom_strategy: Annotated[
        str, Meta(description="One that an installed package brings, in place of strategy.")
    ] = ""
    tenant: Annotated[
        str, Meta(description="On whose account it counts in its pool: for quotas and fair shares.")
    ] = DEFAULT_TENANT
    limits: Annotated[
        dict[str, float],
        Meta(description="The most that its tasks have at once, by resource; custom ones by their names."),
    ] = {}
    metadata: Annotated[
        dict[str, Any], Meta(description="Kept with the workflow, never read by the platform.")
    ] = {}
    dependencies: Annotated[
        list[DependencyEntry],
        Meta(description="More dependencies, besides depends_on and the detected ones."),
    ] = []
