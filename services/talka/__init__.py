"""Talka: durable, resource-aware workflow orchestration on NATS JetStream."""

from talka_core.builder import WorkflowBuilder
from talka_core.tasks import task
from talka_protocols.errors import TalkaError, WorkflowInvalidError
from talka_protocols.ports import Extended
from talka_protocols.results import ExecutionStatus, TaskResult, WorkflowResult
from talka_protocols.schedules import CatchUp, Overlap, Schedule, ScheduleStatus
from talka_protocols.triggers import Trigger, TriggerStatus
from talka_protocols.workflow import (
    Dependency,
    ExecutionPlan,
    ReservationId,
    ResourceAllocation,
    ResourceInventory,
    ResourceRequirements,
    Strategy,
    Task,
    TaskType,
    Workflow,
)
from talka_services.client import Access, LocalOptions, Orchestrator, ResourceManager, connect, local

__all__ = [
    "Access",
    "CatchUp",
    "Dependency",
    "ExecutionPlan",
    "ExecutionStatus",
    "Extended",
    "LocalOptions",
    "Orchestrator",
    "Overlap",
    "ReservationId",
    "ResourceAllocation",
    "ResourceInventory",
    "ResourceManager",
    "ResourceRequirements",
    "Schedule",
    "ScheduleStatus",
    "Strategy",
    "TalkaError",
    "Task",
    "TaskResult",
    "TaskType",
    "Trigger",
    "TriggerStatus",
    "Workflow",
    "WorkflowBuilder",
    "WorkflowInvalidError",
    "WorkflowResult",
    "connect",
    "local",
    "task",
]
