"""What an operation is: a method, a path, and a handler whose signature says all the rest.

A handler takes the call, each part of the path by its name, and, where its
signature has them, ``query`` and ``body``; what it returns is the answer.
The OpenAPI document is made of the same signatures, so it cannot say anything else.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from inspect import cleandoc
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from talka_services.gateway.calls import Call
from talka_services.gateway.roles import Role

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
Handler = Callable[..., Awaitable[Any]]
_PART = re.compile(r"{(\w+)}")


@dataclass(frozen=True)
class Operation:
    """One operation under ``/api/v1``.

    ``statuses`` are those of success, the usual one first. What ``is_keyed`` heeds the
    header Idempotency-Key. ``media`` are the types that a body may have, and
    ``document`` is what a body is that the handler reads for itself. ``role`` is what it takes where
    that is not a viewer's to look and an operator's to do.
    """

    method: str
    path: str
    handler: Handler
    tag: str
    statuses: tuple[HTTPStatus, ...] = (HTTPStatus.OK,)
    is_keyed: bool = False
    media: tuple[str, ...] = (JSON,)
    document: Any = None
    answers: str = JSON
    role: Role | None = field(default=None, kw_only=True)
    limit_bytes: int = field(default=1024 * 1024, kw_only=True)

    @cached_property
    def hints(self) -> dict[str, Any]:
        """Return what the handler's signature says."""
        return get_type_hints(self.handler, include_extras=True)

    @property
    def needs(self) -> Role:
        """Return the least role that may ask for it."""
        return self.role or (Role.VIEWER if self.method == "GET" else Role.OPERATOR)

    @property
    def name(self) -> str:
        """Return its name, the same for ever."""
        return self.handler.__name__

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """Return the names of the variable parts of the path."""
        return tuple(_PART.findall(self.path))

    @cached_property
    def query(self) -> Any:
        """Return the struct of its query parameters, or None."""
        return self.hints.get("query")

    @cached_property
    def body(self) -> Any:
        """Return the type of its body, or None."""
        return self.hints.get("body")

    @property
    def answer(self) -> Any:
        """Return the type of its answer; of a stream, that of the data of each message."""
        kind = self.hints["return"]
        return kind if get_origin(kind) is not Annotated else get_args(kind)[1]

    @property
    def description(self) -> str:
        """Return what it does: the first line is the summary."""
        return cleandoc(self.handler.__doc__ or "")

    async def run(self, call: Call) -> Any:
        """Read the request, and do what it asks.

        Raises:
            TalkaError: it cannot be read or done.
        """
        given: dict[str, Any] = {name: call.part(name) for name in self.parts}
        if self.query is not None:
            given["query"] = call.read_query(self.query)
        if self.body is not None:
            given["body"] = await call.read_body(self.body, self.media, self.limit_bytes)
        return await self.handler(call, **given)
