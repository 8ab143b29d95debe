"""Goal: a condition is understood, refused with its place, or evaluated; nothing in between."""

from __future__ import annotations

from typing import Any

import pytest

from talka_core.conditions import ConditionError, Mention, check, holds, parse
from talka_core.validation import check as check_workflow
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.policies import Join
from talka_protocols.workflow import Dependency, Task, Workflow

IDS = {"fetch", "odd-id", "b"}


@pytest.mark.parametrize(
    ("expression", "mentioned"),
    [
        ("fetch.exit_code == 0", [Mention("fetch", ("exit_code",))]),
        ('tasks["odd-id"].result.x > 1', [Mention("odd-id", ("x",))]),
        ('tasks["odd-id"].status == "failed"', [Mention("odd-id", None)]),
        ("tasks.fetch.error == ''", [Mention("fetch", None)]),
        ("fetch.a['b'].c[0].d == 1", [Mention("fetch", ("a", "b", "c"))]),
        ("fetch.text.startsWith('b.c')", [Mention("fetch", ("text",))]),
        ("size(fetch.rows) > 3 // b", [Mention("fetch", ("rows",))]),
        ("fetch.rows.exists(b, b.ok)", [Mention("fetch", ("rows",))]),
        ("has(fetch.x) && b", [Mention("fetch", ("x",)), Mention("b", ())]),
        ("fetch.b == 'fetch'", [Mention("fetch", ("b",))]),
    ],
)
def test_mentions_are_what_is_looked_at(expression: str, mentioned: list[Mention]) -> None:
    """Texts, comments, methods and what macros bind are no tasks; a path ends where it is computed."""
    condition = parse(expression, IDS)
    assert list(condition.mentions) == mentioned
    check(expression, condition.variables)


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("fetch.exit_code ==", "Syntax error"),
        ("fetsh.exit_code == 0", "Did you mean 'fetch'?"),
        ("odd-id.x == 1", 'tasks["id"].result'),
        ("nothing(fetch)", "undeclared reference to 'nothing'"),
        ("'text'", "string"),
        ("(" * 500 + "true" + ")" * 500, "recursion"),
        ("true" + " || true" * 1000, "above the limit"),
        ("tasks[b].status == 'x'", "is not followed by an id"),
    ],
)
def test_what_does_not_compile_is_refused_with_its_place(expression: str, part: str) -> None:
    """The compiler's words, the nearest name and the place in the definition are told."""
    tasks = (*(Task(id_, "work") for id_ in sorted(IDS)), Task("end", "work", when=expression))
    with pytest.raises(WorkflowInvalidError) as caught:
        check_workflow(Workflow("w", "w", tasks))
    assert caught.value.code == "bad_condition"
    assert caught.value.path == ("tasks", 3, "when")
    assert part in str(caught.value)


def test_a_mention_is_a_dependency() -> None:
    """Naming a task in a condition is enough to wait for it."""
    tasks = (Task("end", "work", when='fetch.ok && tasks["odd-id"].status == "failed"', join=Join.DONE),)
    others = (Task("fetch", "work"), Task("odd-id", "work"))
    checked = check_workflow(Workflow("w", "w", tasks + others))
    assert checked.dependencies == (
        Dependency("fetch", "end", "condition"),
        Dependency("odd-id", "end", "condition"),
    )
    assert check_workflow(checked) == checked


@pytest.mark.parametrize(
    ("when", "code"), [("end == 1", "self_dependency"), ('tasks["x"].status == ""', "unknown_task")]
)
def test_mentions_name_other_tasks_that_exist(when: str, code: str) -> None:
    """A condition over the task itself, or over nobody, is refused."""
    with pytest.raises(WorkflowInvalidError) as caught:
        check_workflow(Workflow("w", "w", (Task("end", "work", when=when),)))
    assert (caught.value.code, caught.value.path) == (code, ("tasks", 0, "when"))


@pytest.mark.parametrize("join", [0, -1, 3])
def test_a_join_over_more_or_less_than_there_is_is_refused(join: int) -> None:
    """A number is from one to the number of dependencies."""
    tasks = (Task("a", "work"), Task("b", "work"), Task("end", "work", join=join))
    edges = (Dependency("a", "end"), Dependency("b", "end"))
    with pytest.raises(WorkflowInvalidError, match="Ask for 1 to 2") as caught:
        check_workflow(Workflow("w", "w", tasks, edges))
    assert (caught.value.code, caught.value.path) == ("bad_join", ("tasks", 2, "join"))


@pytest.mark.parametrize("join", [Join.ANY, Join.DONE, Join.FIRST, 1])
def test_a_join_of_nothing_is_refused(join: Join | int) -> None:
    """Without dependencies there is nothing to join."""
    with pytest.raises(WorkflowInvalidError, match="depends on nothing"):
        check_workflow(Workflow("w", "w", (Task("end", "work", join=join),)))


@pytest.mark.parametrize(
    ("expression", "values", "answer"),
    [
        ("a.n == 1", {"a": {"n": 1.0}}, True),
        ("a.n > 0.5", {"a": {"n": 1}}, True),
        ("a == null", {"a": None}, True),
        ("has(a.n) && a.n", {"a": {}}, False),
        ("a.exists(i, i.ok)", {"a": [{"ok": False}, {"ok": True}]}, True),
        ("a.matches('^x+$')", {"a": "xx"}, True),
        ("timestamp(a) < timestamp('2030-01-01T00:00:00Z')", {"a": "2029-01-01T00:00:00+01:00"}, True),
    ],
)
def test_a_condition_is_evaluated_over_json(expression: str, values: dict[str, Any], answer: bool) -> None:
    """Numbers compare whatever their type; null, lists and texts are what they are in JSON."""
    assert holds(expression, values) is answer


@pytest.mark.parametrize(
    ("expression", "values", "part"),
    [
        ("a.n == 1", {"a": {}}, "n"),
        ("a.n", {"a": {"n": 0}}, "must be true or false"),
        ("a + 'x' == 'y'", {"a": 1}, "overload"),
        ("1 / a == 1", {"a": 0}, "divide"),
        ("a == 1", {"a": 2**70}, "range"),
    ],
)
def test_no_answer_says_why(expression: str, values: dict[str, Any], part: str) -> None:
    """What is missing, of another type or out of range is an error and never false."""
    with pytest.raises(ConditionError, match=part):
        holds(expression, values)


def test_evaluation_is_bounded() -> None:
    """An expression that would go on for hours is stopped by its budget."""
    expression = "true"
    for name in "abcdefghi":
        expression = f"[1, 2, 3, 4, 5, 6, 7, 8, 9].all({name}, {expression})"
    with pytest.raises(ConditionError, match="budget"):
        holds(expression, {})
