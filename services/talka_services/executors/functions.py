"""Finds the function that ``module:function`` names, if its module is allowed.

The allow-list bounds which code a definition can reach; it is no sandbox for
the code that is allowed. A name that an allowed module merely imported from
elsewhere is refused, so allowing ``mymodule`` does not give ``mymodule:os.system``,
nor, where it says ``from os import system``, ``mymodule:system.__call__``.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from msgspec import Struct

from talka_protocols.errors import NotAllowedError, TaskFailedError

EVERYTHING = "*"
_PUBLIC_HOMES = {"posix": "os", "nt": "os", "posixpath": "os.path", "ntpath": "os.path"}
"""Modules that only implement a public one: being allowed there is enough."""


class Function(Struct, frozen=True):
    """A callable that was found, and how it wants to be called."""

    target: Callable[..., Any]
    is_async: bool
    wants_context: bool


def split_call(call: str) -> tuple[str, str]:
    """Split ``module:function``.

    Raises:
        TaskFailedError: it does not have this form.
    """
    module, colon, name = call.partition(":")
    if not (module and colon and name):
        raise TaskFailedError(
            f"call is {call!r}, which does not name a function.",
            hint="Write it as module:function, such as mypackage.steps:parse.",
        )
    return module, name


def is_allowed(module: str, allow: Sequence[str]) -> bool:
    """Tell whether the module, or a package it is in, is on the list."""
    return any(entry in (EVERYTHING, module) or module.startswith(f"{entry}.") for entry in allow)


def require_allowed(module: str, allow: Sequence[str]) -> None:
    """Return if the module is allowed.

    Raises:
        NotAllowedError: it is not.
    """
    if not is_allowed(module, allow):
        raise NotAllowedError(
            f"This worker may not run functions of the module {module!r}.",
            hint=f"Start the worker with --allow-module {module} if you trust it.",
        )


def find_function(call: str, allow: Sequence[str]) -> Function:
    """Import the module and return the function.

    Raises:
        NotAllowedError: its module is not allowed, or it comes from one that is not.
        TaskFailedError: there is no such module or function.
        Exception: whatever the module's own code raised while it was imported.
    """
    module_name, name = split_call(call)
    require_allowed(module_name, allow)
    target = _attribute(_module(module_name), name)
    if not callable(target):
        raise TaskFailedError(f"{call} is a {type(target).__name__}, not a function.")
    home = _home(target)
    if not is_allowed(home.lstrip("_"), allow):
        require_allowed(_PUBLIC_HOMES.get(home, home), allow)
    is_async = inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(
        getattr(target, "__call__", None)  # noqa: B004  (asks how it is called, not whether)
    )
    return Function(target, is_async, has_context(target))


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise TaskFailedError(
            f"There is no module {name!r} where tasks run.",
            hint="Install it there, or put its file into the worker's directory.",
        ) from error


def _home(target: Any) -> str:
    """Return the module that a callable comes from; what is bound in C has none but its owner's."""
    home = getattr(target, "__module__", None)
    if isinstance(home, str):
        return home
    owner = getattr(target, "__self__", target)
    if isinstance(owner, ModuleType):
        return owner.__name__
    kind: type = owner if isinstance(owner, type) else type(owner)
    return kind.__module__


def _attribute(module: ModuleType, name: str) -> Any:
    target: Any = module
    for part in name.split("."):
        if part.startswith("__"):
            raise NotAllowedError(
                f"{module.__name__}:{name} reaches through {part!r}, which Python itself keeps there.",
                hint="Name a function of the module, or of a class in it.",
            )
        if isinstance(target, ModuleType) and target is not module:
            raise NotAllowedError(
                f"{module.__name__}:{name} reaches through the module {target.__name__!r}.",
                hint=f"Call {target.__name__}:{part} and allow that module.",
            )
        if not hasattr(target, part):
            near = difflib.get_close_matches(part, dir(target), n=1)
            hint = f"Did you mean {near[0]!r}?" if near else "Check the name in `call`."
            raise TaskFailedError(f"The module {module.__name__!r} has no {name!r}.", hint=hint)
        target = getattr(target, part)
    return target


def has_context(target: Callable[..., Any]) -> bool:
    """Tell whether the callable has a parameter named ``context``."""
    try:
        return "context" in inspect.signature(target).parameters
    except (ValueError, TypeError):
        # Functions written in C often have no signature; they cannot know our context either.
        return False
