"""What an outside event leads to at a trigger: decided without any clock, and once."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from talka_chaos.players import Player
from talka_core.behaviour import Alert, Effect, Send
from talka_core.trigger import state
from talka_core.trigger.decide import PATIENCE_MS, firing_id
from talka_core.trigger.expressions import matches
from talka_core.trigger.status import trigger_status
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.cloudevents import CloudEvent
from talka_protocols.commit import decode_commit
from talka_protocols.messages import Recipient
from talka_protocols.triggers import Trigger, TriggerState
from talka_protocols.workflow import INLINE_BYTES_MAX, Task, Workflow

START = 1_700_000_000_000
TASK = Task("a", "sleep", payload={"seconds": 0, "order": "${input.order}"})
WORKFLOW = Workflow("work", "work", (TASK,), inputs={"order": None})
ON_ORDERS = Trigger("order.*", inputs={"order": "data.id"})


def event(event_id: str = "1", data: Any = None, kind: str = "order.created") -> CloudEvent:
    """Return an event of a shop."""
    return CloudEvent(event_id, "shop", kind, data=Raw(msgspec.json.encode(data or {"id": event_id})))


class Desk:
    """One trigger and a hand on the clock; law B1 is checked after every event."""

    def __init__(self, trigger: Trigger = ON_ORDERS, workflow: Workflow | None = WORKFLOW) -> None:
        self.now_ms = START
        self.player = Player(Recipient.TRIGGER, "orders")
        self.effects: list[Effect] = []
        self.create(trigger, workflow)

    def create(
        self, trigger: Trigger, workflow: Workflow | None = None, after: int = 0, request_id: str = "r1"
    ) -> list[Any]:
        """Ask for the trigger."""
        return self.tell(m.CreateTrigger("orders", request_id, trigger, after, workflow))

    def tell(self, message: Any, cut: int | None = None) -> list[Any]:
        """Return the events that a message led to."""
        before = len(self.player.commits)
        self.effects += self.player.take(message, self.now_ms, cut)
        commits = [decode_commit(self.player.name, body) for body in self.player.commits[before:]]
        return [event for commit in commits for _, _, event in commit.events()]

    def publish(self, position: int, what: CloudEvent | None = None) -> list[Any]:
        """Let an event arrive from its place in the stream."""
        return self.tell(m.TakeEvent("orders", what or event(str(position)), position))

    @property
    def sent(self) -> list[Any]:
        """Return every message that was sent."""
        return [effect.message for effect in self.effects if isinstance(effect, Send)]


def test_a_matching_event_starts_an_execution_with_its_inputs() -> None:
    """The id follows from trigger, source and id; the planner is asked until it has recorded a verdict."""
    desk = Desk()
    (fired,) = desk.publish(7, event("o/1", {"id": "a1", "n": 2}))
    assert fired.occurrence == e.Occurrence(7, "shop", "o/1", "order.created")
    (asked,) = desk.sent
    assert asked.execution_id == fired.execution_id == firing_id("orders", "shop", "o/1")
    assert asked.workflow.tasks[0].payload["order"] == "a1"
    assert (asked.trigger, asked.workflow.inputs) == ("orders", {})
    assert desk.tell(m.FiringRecorded("orders", fired.firing_id)) == [e.FiringSettled(fired.firing_id)]
    assert desk.tell(m.FiringRecorded("orders", fired.firing_id)) == []
    status = trigger_status(desk.player.state)
    assert (status.fired, status.failed, status.refused, status.pending) == (1, 0, 0, ())


def test_an_event_that_comes_again_starts_nothing_again() -> None:
    """A repeat in the stream has the same position; one that was published again has the same names."""
    desk = Desk()
    assert len(desk.publish(7, event("1"))) == 1
    assert desk.publish(7, event("1")) == []
    assert desk.publish(8, event("1", {"id": "other"})) == []
    assert len(desk.publish(9, event("2"))) == 1
    assert len(desk.publish(6, event("3"))) == 1, "after a lost message a later event may come before it"
    assert len({message.execution_id for message in desk.sent}) == 3


def test_only_what_matches_type_and_filter_counts() -> None:
    """What another type or a filter lets go leaves nothing in the log."""
    desk = Desk(Trigger("order.*", 'data.total > 10 && event.source == "shop"', {"order": "data.id"}))
    assert desk.publish(1, event("1", {"id": "x", "total": 3})) == []
    assert desk.publish(2, event("2", {"id": "x", "total": 30}, "order.created.late")) == []
    assert len(desk.publish(3, event("3", {"id": "x", "total": 30}))) == 1
    assert desk.publish(4, CloudEvent("4", "else", "order.created", data=Raw(b'{"id":1,"total":99}'))) == []


def test_a_filter_without_an_answer_is_recorded_and_told_once() -> None:
    """The log says for which event, and why; a repeat is not recorded again."""
    desk = Desk(Trigger("order.*", "data.total > 10", {"order": "data.id"}))
    (failed,) = desk.publish(1)
    assert isinstance(failed, e.TriggerFailed)
    assert "data.total > 10" in failed.message
    assert "total" in failed.message
    assert any(isinstance(effect, Alert) and "total" in effect.sentence for effect in desk.effects)
    assert desk.publish(1) == []
    assert desk.publish(2, event("1")) == []
    assert trigger_status(desk.player.state).failed == 1


def test_an_input_without_an_answer_starts_nothing() -> None:
    """What the workflow needs and the event has not, and what is too much, are failures of the firing."""
    desk = Desk(Trigger("order.*", inputs={"order": "data.customer.name"}))
    (failed,) = desk.publish(1)
    assert "input" not in desk.sent
    assert "data.customer.name" in failed.message
    desk = Desk(Trigger("order.*", inputs={"order": "data.id + data.id"}))
    (failed,) = desk.publish(1, event("1", {"id": "x" * (INLINE_BYTES_MAX // 2)}))
    assert "above the limit" in failed.message
    assert desk.sent == []


def test_a_signal_goes_to_the_execution_that_is_named() -> None:
    """A plain id is meant as it stands; anything else is an expression of one."""
    desk = Desk(Trigger("paid", execution="order-7", signal="payment", data="data.amount"), None)
    (fired,) = desk.publish(1, event("1", {"amount": 5}, "paid"))
    (told,) = desk.sent
    assert told == m.SignalExecution("order-7", "payment", fired.firing_id, Raw(b"5"), "orders")
    desk = Desk(Trigger("paid", execution="'order-' + data.id", signal="payment"), None)
    (fired,) = desk.publish(1, event("1", {"id": "8"}, "paid"))
    assert fired.execution_id == "order-8"
    (failed,) = desk.publish(2, event("2", {"id": "not a token"}, "paid"))
    assert "no execution id" in failed.message


def test_a_signal_waits_for_its_execution_to_begin() -> None:
    """It may have been submitted a moment ago; after a minute it is refused."""
    desk = Desk(Trigger("paid", execution="order-7", signal="payment"), None)
    (fired,) = desk.publish(1, event("1", kind="paid"))
    unknown = m.FiringRecorded("orders", fired.firing_id, "unknown_execution", "There is none.")
    assert desk.tell(unknown) == []
    assert [type(effect) for effect in desk.player.behaviour.resume(desk.player.state)] == [Send]
    desk.now_ms += PATIENCE_MS
    assert desk.tell(unknown) == [e.FiringRefused(fired.firing_id, "unknown_execution", "There is none.")]
    assert trigger_status(desk.player.state).refused == 1


def test_what_the_planner_rejects_is_in_the_log() -> None:
    """A refusal settles the firing, and is told."""
    desk = Desk()
    (fired,) = desk.publish(1)
    (refused,) = desk.tell(m.FiringRecorded("orders", fired.firing_id, "too_large", "It is too large."))
    assert refused == e.FiringRefused(fired.firing_id, "too_large", "It is too large.")
    assert "too large" in desk.effects[-1].sentence  # type: ignore[union-attr]


def test_what_was_there_before_or_came_while_paused_does_not_count() -> None:
    """A trigger takes up what is published behind its creation and its resumption."""
    desk = Desk()
    desk.tell(m.DeleteTrigger("orders", "r2"))
    assert desk.publish(1) == []
    desk.create(ON_ORDERS, WORKFLOW, after=10, request_id="r3")
    assert desk.publish(10) == []
    assert len(desk.publish(11)) == 1
    assert desk.tell(m.PauseTrigger("orders", "r4")) == [e.TriggerPaused("r4")]
    assert desk.publish(12) == []
    desk.tell(m.ResumeTrigger("orders", "r5", 13))
    assert desk.publish(13) == []
    assert len(desk.publish(14)) == 1
    # One that was not paused misses nothing.
    desk.tell(m.ResumeTrigger("orders", "r6", 99))
    assert len(desk.publish(15)) == 1


def test_requests_are_heard_once() -> None:
    """A deletion that comes again after the trigger was made anew deletes nothing."""
    desk = Desk()
    deletion, anew = m.DeleteTrigger("orders", "r2"), m.CreateTrigger("orders", "r3", ON_ORDERS, 0, WORKFLOW)
    for message in (deletion, anew, deletion, anew):
        desk.tell(message)
    assert trigger_status(desk.player.state).state is TriggerState.ACTIVE
    assert len(desk.player.events()) == 3
    (refused,) = desk.create(ON_ORDERS, WORKFLOW, request_id="r4")
    assert refused.code == "trigger_exists"


def test_what_is_fired_keeps_its_workflow_when_the_trigger_is_made_anew() -> None:
    """Until the planner has it; then it is forgotten."""
    desk = Desk()
    (fired,) = desk.publish(1)
    desk.tell(m.DeleteTrigger("orders", "r2"))
    other = Workflow("other", "other", (Task("b", "sleep", payload={"seconds": 0}),))
    desk.create(Trigger("order.*"), other, request_id="r3")
    (later,) = desk.publish(2)
    by_id = {message.execution_id: message.workflow.name for message in desk.sent}
    assert by_id == {fired.firing_id: "work", later.firing_id: "other"}
    resumed = [effect.message.workflow.name for effect in desk.player.behaviour.resume(desk.player.state)]  # type: ignore[union-attr]
    assert resumed == ["work", "other"]
    desk.tell(m.FiringRecorded("orders", fired.firing_id))
    assert list(desk.player.state.definitions) == ["2"]
    desk.tell(m.DeleteTrigger("orders", "r4"))
    assert not desk.player.behaviour.is_over(desk.player.state)
    desk.tell(m.FiringRecorded("orders", later.firing_id))
    assert desk.player.state.definitions == {}
    assert desk.player.behaviour.is_over(desk.player.state)


@pytest.mark.parametrize(
    ("trigger", "workflow", "code", "said"),
    [
        (Trigger("order", "data.total >"), WORKFLOW, "bad_expression", "does not compile"),
        (Trigger("order", "total > 1"), WORKFLOW, "bad_expression", "total"),
        (Trigger("order", "1 + 1"), WORKFLOW, "bad_expression", "true or false"),
        (Trigger("order", inputs={"order": "data."}), WORKFLOW, "bad_expression", "input order"),
        (Trigger("order", inputs={"ordr": "data"}), WORKFLOW, "unknown_input", "order"),
        (Trigger("order"), WORKFLOW, "missing_input", "order"),
        (Trigger("order..x", inputs={"order": "1"}), WORKFLOW, "trigger_invalid", "cannot be waited for"),
        (Trigger("order.>.x", inputs={"order": "1"}), WORKFLOW, "trigger_invalid", "cannot be waited for"),
        (Trigger(""), WORKFLOW, "trigger_invalid", "cannot be waited for"),
        (Trigger("order"), None, "trigger_invalid", "one of the two"),
        (Trigger("order", signal="s", execution="x"), WORKFLOW, "trigger_invalid", "one of the two"),
        (Trigger("order", signal="a b", execution="x"), None, "trigger_invalid", "name of a signal"),
        (Trigger("order", signal="s", execution="data.("), None, "bad_expression", "execution"),
        (Trigger("order", signal="s", execution=""), None, "bad_expression", "execution"),
        (Trigger("order", signal="s", execution="x", inputs={"a": "1"}), None, "trigger_invalid", "--data"),
    ],
)
def test_what_makes_no_sense_is_refused(
    trigger: Trigger, workflow: Workflow | None, code: str, said: str
) -> None:
    """The refusal is an event, with a sentence that says where."""
    desk = Desk()
    desk.tell(m.DeleteTrigger("orders", "r2"))
    (refused,) = desk.create(trigger, workflow, request_id="r3")
    assert isinstance(refused, e.RequestRefused)
    assert refused.code == code
    assert said in refused.message


def test_an_unknown_trigger_is_refused() -> None:
    """Whatever is asked of one that there is not any more is an event that says so."""
    desk = Desk()
    desk.tell(m.DeleteTrigger("orders", "r2"))
    (refused,) = desk.tell(m.PauseTrigger("orders", "r3"))
    assert refused.code == "unknown_trigger"


PARTS = st.sampled_from(["a", "b", "order"])


@given(st.lists(PARTS, min_size=1, max_size=4), st.lists(st.booleans(), min_size=4, max_size=4))
def test_wildcards_match_as_in_nats(parts: list[str], is_star: list[bool]) -> None:
    """A star stands for exactly one part, an angle bracket for one or more at the end."""
    kind = ".".join(parts)
    on = [("*" if star else part) for part, star in zip(parts, is_star, strict=False)]
    assert matches(".".join(on), kind)
    assert not matches(".".join([*on, "*"]), kind)
    assert matches(">", kind)
    assert matches(".".join([*on[:-1], ">"]), kind)
    assert not matches(".".join([*on, ">"]), kind)


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), max_size=20, unique=True))
def test_no_two_events_share_an_id(names: list[tuple[str, str]]) -> None:
    """However source and id are cut, what they start has different ids."""
    assert len({firing_id("t", source, event_id) for source, event_id in names}) == len(names)


def _steps() -> st.SearchStrategy[list[tuple[Any, ...]]]:
    number = st.integers(0, 5)
    return st.lists(
        st.one_of(
            st.tuples(st.just("publish"), st.integers(1, 12), number),
            st.tuples(st.just("answer"), number, st.sampled_from(["", "refused", "unknown_execution"])),
            st.tuples(st.sampled_from(["pause", "resume", "delete", "create"]), number),
            st.tuples(st.just("crash")),
        ),
        max_size=40,
    )


@given(_steps())
def test_whatever_happens_each_event_fires_once_and_nothing_owed_is_lost(
    steps: list[tuple[Any, ...]],
) -> None:
    """Law B1 holds after every event (the player checks it), also when each message comes twice."""
    desk = Desk(Trigger("order.*", "data.n != 3", {"order": "string(data.n)"}))
    position = 0
    for step in steps:
        match step:
            case ("publish", ahead, number):
                position += ahead
                message: Any = m.TakeEvent("orders", event(str(number), {"n": number}), position)
            case ("answer", number, code):
                message = m.FiringRecorded("orders", firing_id("orders", "shop", str(number)), code, "said")
            case ("pause", number):
                message = m.PauseTrigger("orders", f"pause{number}")
            case ("resume", number):
                message = m.ResumeTrigger("orders", f"resume{number}", position)
            case ("delete", number):
                message = m.DeleteTrigger("orders", f"delete{number}")
            case ("create", number):
                message = m.CreateTrigger("orders", f"create{number}", ON_ORDERS, position, WORKFLOW)
            case _:
                desk.player.check_replay()
                desk.player.recover(desk.now_ms)
                continue
        desk.tell(message)
        assert desk.tell(message) == []
    desk.player.check_replay()
    fired = [found.firing_id for found in desk.player.events() if isinstance(found, e.TriggerFired)]
    assert len(fired) == len(set(fired))


def test_the_memory_of_firings_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten; a repeat of it is recorded, and asks for the same execution."""
    kept = 20
    monkeypatch.setattr(state, "RECENT_KEPT", kept)
    desk = Desk()
    (first,) = desk.publish(1, event("first"))
    desk.tell(m.FiringRecorded("orders", first.firing_id))
    for number in range(kept):
        desk.publish(2 + number, event(str(number)))
    assert len(desk.player.state.recent) == kept
    (again,) = desk.publish(kept + 10, event("first"))
    assert again.execution_id == first.execution_id
