"""Workflows in the bodies of requests: Talka files and WfFormat instances, as JSON or YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from talka_core.validation import check
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import Strategy, Workflow
from talka_services.formats import Source, parse_inputs, read_text, workflow_of
from talka_services.gateway.calls import Call
from talka_services.gateway.problems import SECONDS_MAX, VERSION_MAX, bad_request

MEDIA = (
    "application/json",
    "application/yaml",
    "application/x-yaml",
    "text/yaml",
    "text/x-yaml",
    "application/vnd.talka.workflow+json",
)
BYTES_MAX = 32 * 1024 * 1024


class Limits(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be said about a definition beside it."""

    input: Annotated[
        tuple[str, ...], Meta(description="NAME=VALUE, as on the command line; repeatable.")
    ] = ()
    strategy: Annotated[Strategy | None, Meta(description="In place of the definition's own.")] = None
    max_tasks: Annotated[
        Annotated[int, Meta(ge=1, le=VERSION_MAX)] | None,
        Meta(description="Raises or lowers the limit of tasks."),
    ] = None
    max_seconds: Annotated[
        Annotated[float, Meta(gt=0, le=SECONDS_MAX)] | None,
        Meta(description="Raises or lowers the time limit."),
    ] = None


async def brought(call: Call, body: bytes, limits: Limits) -> Workflow:
    """Return the checked workflow that a call brings; others go on while a large one is read.

    Raises:
        WorkflowInvalidError: it is invalid, with line and column.
    """
    return await call.apart(body, partial(read_workflow, body, limits))


def read_workflow(body: bytes, limits: Limits, *, name: str | None = None) -> Workflow:
    """Return the checked workflow of a body.

    Raises:
        WorkflowInvalidError: it is invalid, with line and column.
    """
    return checked(read_text(body, file=name), parse_inputs(limits.input), limits)


def checked(
    source: Source, inputs: Mapping[str, Any], limits: Limits | None = None, *, is_open: bool = False
) -> Workflow:
    """Return the checked workflow of a document; with ``is_open`` it still takes inputs.

    Raises:
        WorkflowInvalidError: it is invalid, with its place.
    """
    chosen = limits or Limits()
    _refuse_files(source)
    workflow = workflow_of(
        source,
        max_tasks=chosen.max_tasks,
        max_seconds=chosen.max_seconds,
        inputs=inputs or None,
        is_open=is_open,
    )
    if chosen.strategy is not None:
        config = replace(workflow.config, strategy=chosen.strategy, custom_strategy="")
        workflow = check(replace(workflow, config=config))
    return workflow


def document_source(document: Mapping[str, Any]) -> Source:
    """Return a definition that is part of a larger body; its errors name no line.

    Raises:
        HttpError: it is no object.
    """
    if not document:
        raise bad_request("bad_body", "The body has no workflow.")
    return read_text(msgspec.json.encode(document), file="workflow.json")


def _refuse_files(source: Source) -> None:
    """Refuse to read files of the gateway's machine for somebody else.

    Raises:
        WorkflowInvalidError: a sub-workflow is named by its file.
    """
    for place in _file_places(source.value, ()):
        raise source.located(
            WorkflowInvalidError(
                "A workflow that comes by HTTP cannot name files.",
                hint="Write the sub-workflow in place, under 'workflow'.",
                code="not_allowed",
                path=(*place, "workflow_file"),
            )
        )


def _file_places(document: object, place: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    tasks = cast("Mapping[str, object]", document).get("tasks") if isinstance(document, dict) else None
    for position, task in enumerate(cast("Sequence[object]", tasks) if isinstance(tasks, list) else ()):
        if isinstance(task, dict):
            where = (*place, "tasks", position)
            if "workflow_file" in task:
                yield where
            yield from _file_places(cast("dict[str, object]", task).get("workflow"), (*where, "workflow"))
