"""Schedules: what starts by itself."""

from __future__ import annotations

from hashlib import blake2b
from http import HTTPStatus
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from talka_protocols.schedules import Schedule, ScheduleStatus
from talka_services.gateway.calls import Call
from talka_services.gateway.definitions import BYTES_MAX, checked, document_source
from talka_services.gateway.executions import Submitted, begun
from talka_services.gateway.operations import Operation
from talka_services.gateway.paging import Paging, paged
from talka_services.gateway.roles import Role


class All(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much is listed."""

    all: Annotated[bool, Meta(description="Also what is finished, removed or deleted.")] = False


class ScheduleList(Struct, frozen=True):
    """Schedules by name; ``next`` is the cursor of the next page, null at the end."""

    schedules: list[ScheduleStatus]
    next: str | None


class ScheduleBody(Struct, frozen=True, forbid_unknown_fields=True):
    """When, and what: ``workflow`` is a Talka file as JSON, ``inputs`` are its inputs."""

    schedule: Schedule
    workflow: dict[str, Any]
    inputs: dict[str, Any] = field(default_factory=dict[str, Any])


async def list_schedules(call: Call, query: All) -> ScheduleList:
    """List the schedules that will start something, and when."""
    found = await call.orchestrator.schedules.list(is_all=query.all)
    return ScheduleList(*paged(found, lambda each: each.name, query, str))


async def get_schedule(call: Call, name: str) -> ScheduleStatus:
    """Show one schedule."""
    return await call.orchestrator.schedules.get(name)


async def put_schedule(call: Call, name: str, body: ScheduleBody) -> ScheduleStatus:
    """Let a workflow start by itself, in place of what was set under this name before."""
    workflow = checked(document_source(body.workflow), body.inputs)
    setting = call.orchestrator.set_schedule(name, workflow, body.schedule, request_id=call.request_id)
    return await call.answered(setting)


async def pause_schedule(call: Call, name: str) -> ScheduleStatus:
    """Let nothing be due until the schedule is resumed."""
    return await call.answered(call.orchestrator.schedules.pause(name, request_id=call.request_id))


async def resume_schedule(call: Call, name: str) -> ScheduleStatus:
    """Go on with the first due time from now on."""
    return await call.answered(call.orchestrator.schedules.resume(name, request_id=call.request_id))


async def run_schedule(call: Call, name: str) -> Submitted:
    """Start one execution now, whatever is due or runs; the due times stay as they are."""
    key = call.key
    digest = "" if key is None else blake2b(key.encode(), digest_size=8).hexdigest()
    chosen = f"{name}-{digest}" if digest else ""
    return await begun(call, await call.answered(call.orchestrator.schedules.run(name, execution_id=chosen)))


async def remove_schedule(call: Call, name: str) -> ScheduleStatus:
    """Start nothing any more; what runs goes on."""
    return await call.answered(call.orchestrator.schedules.remove(name, request_id=call.request_id))


_ONE = "/schedules/{name}"
_BEGUN = (HTTPStatus.CREATED, HTTPStatus.ACCEPTED)
OPERATIONS = (
    Operation("GET", "/schedules", list_schedules, "schedules"),
    Operation("GET", _ONE, get_schedule, "schedules"),
    Operation("PUT", _ONE, put_schedule, "schedules", is_keyed=True, role=Role.ADMIN, limit_bytes=BYTES_MAX),
    Operation("DELETE", _ONE, remove_schedule, "schedules", is_keyed=True, role=Role.ADMIN),
    Operation("POST", f"{_ONE}/pause", pause_schedule, "schedules", is_keyed=True),
    Operation("POST", f"{_ONE}/resume", resume_schedule, "schedules", is_keyed=True),
    Operation("POST", f"{_ONE}/run", run_schedule, "schedules", _BEGUN, is_keyed=True),
)
