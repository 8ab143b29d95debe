"""Structured logs that behave in a library: through ``logging``, so silent below WARNING unless asked.

``logging.getLogger("talka_services").setLevel(...)`` turns them up or down;
applications that configure structlog for themselves are left alone. structlog
is imported with the first line that is logged, or by ``prepare``, which spares
every other command a fifth of a second.

Entries are correlated: one about an execution has its ``execution_id`` and
``trace_id``, one about an attempt also ``task_id``, ``attempt`` and ``span_id``.
These follow from each other, so nothing is passed along for them.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import IO, TYPE_CHECKING, Any, cast

from talka_core.traceparent import attempt_span_id, trace_id
from talka_protocols.subjects import EXECUTION

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger


class _LazyLogger:
    """Becomes a structlog logger when it is first used for something that is not left out."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._standard = logging.getLogger(name)
        self._logger: BoundLogger | None = None

    def debug(self, event: str, **facts: Any) -> None:
        """Write what is of interest only to whoever looks for a fault."""
        # An entry that is thrown away costs each short task more than its own work.
        if self._standard.isEnabledFor(logging.DEBUG):
            self._built().debug(event, **facts)

    def info(self, event: str, **facts: Any) -> None:
        """Write what happens all the time."""
        if self._standard.isEnabledFor(logging.INFO):
            self._built().info(event, **facts)

    def _built(self) -> BoundLogger:
        if self._logger is None:
            self._logger = _build(self._name)
        return self._logger

    def __getattr__(self, method: str) -> Any:
        return getattr(self._built(), method)


def prepare() -> None:
    """Import now what the first line would import: that takes long enough for a lease to run out."""
    _build(__name__)


def _build(name: str) -> BoundLogger:
    import structlog  # noqa: PLC0415  (see the module's docstring)

    processors: list[structlog.typing.Processor] = [
        structlog.stdlib.filter_by_level,
        correlated,
        _finished,
    ]
    logger: BoundLogger = structlog.wrap_logger(
        logging.getLogger(name), processors=processors, wrapper_class=structlog.stdlib.BoundLogger
    )
    return logger


def correlated(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add what follows from what an entry is about; see the module's docstring."""
    kind, _, key = str(entry.get("log", "")).partition(".")
    if kind == EXECUTION:
        entry.setdefault("execution_id", key)
    execution_id = entry.get("execution_id")
    if isinstance(execution_id, str) and execution_id:
        entry["trace_id"] = trace_id(execution_id)
        if "task_id" in entry and "attempt" in entry:
            entry["span_id"] = attempt_span_id(execution_id, entry["task_id"], entry["attempt"])
    return entry


class Form:
    """How entries are written by this process."""

    is_json = False


def _finished(logger: Any, method: str, entry: MutableMapping[str, Any]) -> Any:
    """Return an entry as text, or as the handler of `json_handler` wants it."""
    import structlog  # noqa: PLC0415  (it is imported already, with the first line)

    if Form.is_json:
        return structlog.stdlib.ProcessorFormatter.wrap_for_formatter(logger, method, entry)
    entry = structlog.processors.ExceptionRenderer()(logger, method, entry)
    return structlog.processors.LogfmtRenderer(key_order=["event"], drop_missing=True)(logger, method, entry)


def json_handler(stream: IO[str]) -> logging.Handler:
    """Return a handler that writes every entry, also those of libraries, as one JSON object a line."""
    import structlog  # noqa: PLC0415  (see the module's docstring)

    Form.is_json = True
    described: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                *described,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.dict_tracebacks,
                structlog.processors.JSONRenderer(default=str),
            ]
        )
    )
    return handler


def get_logger(name: str) -> BoundLogger:
    """Return the logger of a module; events are named ``noun.what_happened``, facts are keyword arguments."""
    return cast("BoundLogger", _LazyLogger(name))
