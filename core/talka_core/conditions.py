"""Conditions: what a CEL expression mentions, whether it compiles, and what it comes to.

A task is a variable by its id where that is a CEL identifier, and stands for
its result. ``tasks["id"]`` works for every id and has ``status``, ``result``
and ``error`` (the code). Expressions see nothing else, so the same records
always give the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from talka_core.spelling import did_you_mean
from talka_protocols.errors import CallerError, WorkflowInvalidError

if TYPE_CHECKING:
    from cel_expr_python import cel  # pyright: ignore[reportMissingTypeStubs]

LENGTH_MAX = 4_000
TASKS = "tasks"
RESULT = "result"
ITERATION = "iteration"
LOOP = "loop"
_MACROS = frozenset({"all", "exists", "exists_one", "map", "filter"})
_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
      | (?P<text>[rRbB]{0,2}(?:'{3}.*?'{3}|"{3}.*?"{3}|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"))
      | (?P<name>[A-Za-z_]\w*)
      | (?P<quoted>`[^`]+`)
      | (?P<number>\.?\d[\w.]*)
      | (?P<sign>.)""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_PLACE = re.compile(r"<input>:(\d+):(\d+): (.*)")


class Mention(Struct, frozen=True):
    """A task that an expression names, and the path into its result; None when that is not looked at."""

    task_id: str
    path: tuple[str, ...] | None = ()

    @property
    def text(self) -> str:
        """Return how a reference to the same value reads."""
        return ".".join((self.task_id, *(self.path or ())))


class Condition(Struct, frozen=True):
    """What a task's ``when`` says: the expression, what it mentions, and the variables that it needs."""

    expression: str
    mentions: tuple[Mention, ...]
    variables: tuple[str, ...]


class ConditionError(CallerError):
    """A condition has no answer: something is missing, of the wrong type, or too large to look into."""

    code = "condition_failed"


class _Token(Struct, frozen=True):
    kind: str
    text: str


class _Chain(Struct):
    """A variable of an expression and the fields that are selected from it."""

    root: str
    path: list[str]


def parse(expression: str, task_ids: Collection[str]) -> Condition:
    """Return what ``expression`` mentions, in order; a name behind ``tasks`` counts even if no task has it.

    Raises:
        WorkflowInvalidError: ``tasks`` is not followed by an id in quotes.
    """
    found: dict[Mention, None] = {}
    variables = {TASKS}
    for chain in _chains(expression):
        if chain.root == TASKS:
            found[_of_tasks(expression, chain.path)] = None
        elif chain.root in task_ids:
            found[Mention(chain.root, tuple(chain.path))] = None
            variables.add(chain.root)
    return Condition(expression, tuple(found), tuple(sorted(variables)))


def loop_text(path: tuple[str, ...]) -> str:
    """Return how a loop's payload refers to this part of its last round's result."""
    return ".".join((LOOP, RESULT, *path))


def paths_of(expression: str, variable: str) -> tuple[tuple[str, ...], ...]:
    """Return the paths into a variable's value that ``expression`` looks at."""
    return tuple(tuple(chain.path) for chain in _chains(expression) if chain.root == variable)


def check(expression: str, variables: Collection[str], known: Collection[str] = ()) -> None:
    """Compile an expression over these variables; ``known`` are the names that would have been others.

    Raises:
        WorkflowInvalidError: Code ``bad_condition``, with the compiler's own words.
    """
    kind = _kind(expression, variables, known)
    if kind not in {"BOOL", "DYN"}:
        raise _bad(f"It is of type {kind.lower()}, and must be true or false.", "Compare it with something.")


def check_value(expression: str, variables: Collection[str]) -> None:
    """Compile an expression over these variables that may be of any type.

    Raises:
        WorkflowInvalidError: Code ``bad_condition``, with the compiler's own words.
    """
    _kind(expression, variables)


def holds(expression: str, values: Mapping[str, Any]) -> bool:
    """Return what a checked expression comes to.

    Raises:
        ConditionError: It has no answer, or one that is neither true nor false.
    """
    kind, answer = _evaluated(expression, values)
    if isinstance(answer, bool) and kind == "BOOL":
        return answer
    raise ConditionError(f"It is {kind.lower()}, and must be true or false.")


def value_of(expression: str, values: Mapping[str, Any]) -> Any:
    """Return what a checked expression of any type comes to.

    Raises:
        ConditionError: It has no answer.
    """
    return _evaluated(expression, values)[1]


def _kind(expression: str, variables: Collection[str], known: Collection[str] = ()) -> str:
    if len(expression) > LENGTH_MAX:
        raise _bad(f"It has {len(expression):,} characters, above the limit of {LENGTH_MAX:,}.")
    try:
        return _compiled(expression, tuple(sorted(variables))).return_type().name()
    except (RuntimeError, TypeError) as error:
        raise _bad(_in_words(str(error)), _hint(expression, {*variables, *known})) from None


def _evaluated(expression: str, values: Mapping[str, Any]) -> tuple[str, Any]:
    try:
        value = _compiled(expression, tuple(sorted(values))).eval(data=dict(values))
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise ConditionError(_in_words(str(error))) from None
    kind, answer = value.type().name(), value.plain_value()
    if kind == "ERROR":
        raise ConditionError(_in_words(str(answer)))
    return kind, answer


@lru_cache(maxsize=1_024)
def _compiled(expression: str, variables: tuple[str, ...]) -> cel.Expression:
    # Loaded with the first condition: most workflows have none.
    from cel_expr_python import cel  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]

    declared = dict.fromkeys(variables, cel.Type.DYN)
    if TASKS in declared:
        declared[TASKS] = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    return cel.NewEnv(variables=declared).compile(expression)


def _of_tasks(expression: str, path: list[str]) -> Mention:
    if not path:
        raise _bad(
            f"In {expression[:200]!r} tasks is not followed by an id.", 'Write tasks["id"], with a fixed id.'
        )
    task_id, rest = path[0], path[1:]
    if not rest:
        return Mention(task_id)
    return Mention(task_id, tuple(rest[1:]) if rest[0] == RESULT else None)


def _chains(expression: str) -> Iterator[_Chain]:
    """Yield each variable with its fields; functions and what macros bind are left out."""
    tokens = [_Token(m.lastgroup or "", m[0]) for m in _TOKEN.finditer(expression) if m.lastgroup != "space"]
    texts = [token.text for token in tokens]
    bound = {
        texts[i + 2]
        for i in range(len(tokens) - 3)
        if texts[i] in _MACROS and texts[i + 1] == "(" and texts[i + 3] == ","
    }
    for i, token in enumerate(tokens):
        is_selected = i > 0 and texts[i - 1] == "."
        is_called = texts[i + 1 : i + 2] == ["("]
        if token.kind == "name" and not is_selected and not is_called and token.text not in bound:
            yield _Chain(token.text, list(_fields(tokens, i + 1)))


def _fields(tokens: list[_Token], start: int) -> Iterator[str]:
    """Yield the fields that are selected from ``start`` on, up to the first call or computed index."""
    i = start
    while i + 1 < len(tokens):
        if tokens[i].text == "." and tokens[i + 1].kind in {"name", "quoted"}:
            if i + 2 < len(tokens) and tokens[i + 2].text == "(":
                return
            yield tokens[i + 1].text.strip("`")
            i += 2
        elif tokens[i].text == "[" and tokens[i + 1].kind == "text" and tokens[i + 2 : i + 3]:
            if tokens[i + 2].text != "]" or "\\" in tokens[i + 1].text:
                return
            yield tokens[i + 1].text.strip("rR").strip("'\"")
            i += 3
        else:
            return


def _in_words(message: str) -> str:
    """Return the compiler's first complaint without its codes, with the place in words."""
    first = message.split("\n", 1)[0]
    place = _PLACE.search(first)
    if place:
        first = f"line {place[1]}, column {place[2]}: {place[3]}"
    return re.sub(r" \(in container ''\)| \[[A-Z_]+\]\Z|\A[A-Z_]+: ", "", first).rstrip(".") + "."


def _hint(expression: str, variables: Collection[str]) -> str:
    unknown = [chain.root for chain in _chains(expression) if chain.root not in variables]
    suggestion = did_you_mean(unknown[0], variables, label="It may use") if unknown else ""
    odd_id = ' An id that is no plain name is written tasks["id"].result.' if TASKS in variables else ""
    return f"{suggestion}{odd_id}".strip()


def _bad(message: str, hint: str = "") -> WorkflowInvalidError:
    return WorkflowInvalidError(message, hint=hint, code="bad_condition")
