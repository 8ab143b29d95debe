"""Triggers, and the events from outside that they wait for."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from msgspec import Struct

from talka_core.cloudevents import BATCH, STRUCTURED, check_event, decode_batch, decode_event
from talka_protocols.triggers import Trigger, TriggerStatus
from talka_services.client.publishing import PublishedEvent, publish
from talka_services.gateway.calls import Call
from talka_services.gateway.definitions import BYTES_MAX, checked, document_source
from talka_services.gateway.operations import Operation
from talka_services.gateway.paging import paged
from talka_services.gateway.roles import Role
from talka_services.gateway.schedules import All


class TriggerList(Struct, frozen=True):
    """Triggers by name; ``next`` is the cursor of the next page, null at the end."""

    triggers: list[TriggerStatus]
    next: str | None


class TriggerBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Which events lead to what: ``workflow`` is a Talka file as JSON, or null where a signal is sent."""

    name: str
    trigger: Trigger
    workflow: dict[str, Any] | None = None


async def list_triggers(call: Call, query: All) -> TriggerList:
    """List the triggers that there are, and what they have led to."""
    found = await call.orchestrator.triggers.list(is_all=query.all)
    return TriggerList(*paged(found, lambda each: each.name, query, str))


async def get_trigger(call: Call, name: str) -> TriggerStatus:
    """Show one trigger."""
    return await call.orchestrator.triggers.get(name)


async def create_trigger(call: Call, body: TriggerBody) -> TriggerStatus:
    """Let events start a workflow, or signal an execution: those published from now on."""
    workflow = None
    if body.workflow is not None:
        workflow = checked(document_source(body.workflow), {}, is_open=True)
    call.headers["Location"] = f"/api/v1/triggers/{body.name}"
    creating = call.orchestrator.create_trigger(body.name, body.trigger, workflow, request_id=call.request_id)
    return await call.answered(creating)


async def pause_trigger(call: Call, name: str) -> TriggerStatus:
    """Let events lead to nothing until the trigger is resumed."""
    return await call.answered(call.orchestrator.triggers.pause(name, request_id=call.request_id))


async def resume_trigger(call: Call, name: str) -> TriggerStatus:
    """Go on with the events that are published from now on."""
    return await call.answered(call.orchestrator.triggers.resume(name, request_id=call.request_id))


async def delete_trigger(call: Call, name: str) -> TriggerStatus:
    """Let events lead to nothing any more; what was fired goes on."""
    return await call.answered(call.orchestrator.triggers.delete(name, request_id=call.request_id))


async def publish_event(call: Call, body: bytes) -> PublishedEvent | list[PublishedEvent]:
    """Publish CloudEvents for triggers to take up: in binary, structured or batched mode over HTTP.

    In binary mode its attributes are headers ce-*, and the body is the data. The same
    source and id lead to one execution or signal for each trigger, however often they are published. A
    batch is answered with a list in its order; if one of its events cannot be, none is published.
    """
    connection = call.orchestrator.node.connection
    if call.media_type == BATCH:
        batch = decode_batch(body)
        for each in batch:
            check_event(each)
        return [await call.taken(publish(connection, each)) for each in batch]
    event = decode_event(body, dict(call.request.headers))
    check_event(event)
    return await call.taken(publish(connection, event))


_ONE = "/triggers/{name}"
OPERATIONS = (
    Operation("GET", "/triggers", list_triggers, "triggers"),
    Operation(
        "POST",
        "/triggers",
        create_trigger,
        "triggers",
        (HTTPStatus.CREATED,),
        is_keyed=True,
        role=Role.ADMIN,
        limit_bytes=BYTES_MAX,
    ),
    Operation("GET", _ONE, get_trigger, "triggers"),
    Operation("DELETE", _ONE, delete_trigger, "triggers", is_keyed=True, role=Role.ADMIN),
    Operation("POST", f"{_ONE}/pause", pause_trigger, "triggers", is_keyed=True),
    Operation("POST", f"{_ONE}/resume", resume_trigger, "triggers", is_keyed=True),
    Operation(
        "POST",
        "/events",
        publish_event,
        "triggers",
        media=(STRUCTURED, BATCH, "*/*"),
        document=dict[str, Any] | list[dict[str, Any]],
    ),
)
