"""What a schedule starts, what it lets go, and what it remembers: decided without any clock."""

from __future__ import annotations

from typing import Any

import pytest

from talka_chaos.players import Player
from talka_core.behaviour import ClearAlarm, Effect, Send, SetAlarm
from talka_core.builder import WorkflowBuilder
from talka_core.starter import STARTER
from talka_core.starter.state import REQUESTS_KEPT
from talka_protocols import events as e
from talka_protocols import messages as m
from talka_protocols.commit import decode_commit
from talka_protocols.messages import Recipient
from talka_protocols.schedules import CatchUp, Overlap, Schedule
from talka_protocols.workflow import Task

START = 1_700_000_000_000
MINUTE = 60_000
WORKFLOW = WorkflowBuilder("work", id="work").add_task(Task("a", "sleep", payload={"seconds": 0})).build()


class Desk:
    """One schedule and a hand on the clock; the laws are checked after every event."""

    def __init__(self, **schedule: Any) -> None:
        self.now_ms = START
        self.player = Player(Recipient.STARTER, "daily")
        self.effects: list[Effect] = []
        self.put(**schedule)

    def put(self, execution_id: str = "", **schedule: Any) -> list[Any]:
        """Set the schedule."""
        return self.tell(m.PutSchedule("daily", Schedule(**schedule), WORKFLOW, execution_id=execution_id))

    def tell(self, message: Any, cut: int | None = None) -> list[Any]:
        """Return the events that a message led to."""
        before = len(self.player.commits)
        self.effects += self.player.take(message, self.now_ms, cut)
        commits = [decode_commit(self.player.name, body) for body in self.player.commits[before:]]
        return [event for commit in commits for _, _, event in commit.events()]

    def at(self, now_ms: int) -> list[Any]:
        """Let the alarm ring at an instant."""
        self.now_ms = now_ms
        return self.tell(m.TimerFired("daily", "due"))

    def end(self, execution_id: str) -> list[Any]:
        """Let an execution end."""
        self.tell(m.SubmissionRecorded("daily", execution_id))
        return self.tell(m.ExecutionEnded("daily", execution_id, "succeeded"))

    @property
    def started(self) -> list[str]:
        """Return the executions that the planner was asked for, each once."""
        asked = [effect.message for effect in self.effects if isinstance(effect, Send)]
        return list(dict.fromkeys(x.execution_id for x in asked if isinstance(x, m.SubmitWorkflow)))


def kinds(events: list[Any]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_a_repeated_alarm_starts_nothing_twice() -> None:
    """The id of an execution is its due time, and an alarm that comes again finds the next time."""
    desk = Desk(every_seconds=60.0)
    assert kinds(desk.at(START + MINUTE)) == ["ScheduleFired"]
    assert desk.tell(m.TimerFired("daily", "due")) == []
    assert desk.started == ["daily-20231114T221420Z"]


def test_an_alarm_that_rings_too_early_is_set_again() -> None:
    """Whatever the clocks say, nothing starts before its time, and the alarm is not lost."""
    desk = Desk(every_seconds=60.0)
    desk.effects.clear()
    assert desk.at(START + MINUTE - 1) == []
    assert desk.effects == [SetAlarm("daily", "due", START + MINUTE)]


def test_after_an_outage_only_the_last_time_counts() -> None:
    """With the rule ``last`` one execution stands for all that was missed, and the log says which times."""
    desk = Desk(every_seconds=60.0)
    missed, fired = desk.at(START + 10 * MINUTE + 30_000)
    assert missed == e.ScheduleMissed(START + MINUTE, START + 9 * MINUTE, START + 10 * MINUTE)
    assert (fired.due_at, fired.next_at) == (START + 10 * MINUTE, START + 11 * MINUTE)


def test_after_an_outage_nothing_counts() -> None:
    """With the rule ``none`` what was missed is let go, and the next time is kept."""
    desk = Desk(every_seconds=60.0, catch_up=CatchUp.NONE)
    events = desk.at(START + 10 * MINUTE + 30_000)
    assert events == [e.ScheduleMissed(START + MINUTE, START + 10 * MINUTE, START + 11 * MINUTE)]


def test_what_is_a_moment_late_is_not_missed() -> None:
    """A due time that is noticed a few seconds late is on time, whatever the catch-up rule."""
    desk = Desk(every_seconds=60.0, catch_up=CatchUp.NONE)
    assert kinds(desk.at(START + MINUTE + 9_000)) == ["ScheduleFired"]


def test_after_an_outage_each_time_counts_up_to_a_bound() -> None:
    """With the rule ``all`` there is an execution for each of the newest times, oldest first."""
    desk = Desk(every_seconds=60.0, catch_up=CatchUp.ALL, catch_up_max=3, overlap=Overlap.ALLOW)
    events = desk.at(START + 10 * MINUTE + 30_000)
    assert kinds(events) == ["ScheduleMissed"] + 3 * ["ScheduleFired"]
    assert [event.due_at for event in events[1:]] == [START + n * MINUTE for n in (8, 9, 10)]


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_catch_up_that_was_cut_short_is_completed(cut: int) -> None:
    """Wherever a commit of a catch-up is cut, the next owner starts what is left, and nothing twice."""
    desk = Desk(every_seconds=60.0, catch_up=CatchUp.ALL, catch_up_max=3, overlap=Overlap.ALLOW)
    desk.now_ms = START + 10 * MINUTE + 30_000
    desk.tell(m.TimerFired("daily", "due"), cut)
    assert sorted(desk.started) == [f"daily-20231114T22{minute}20Z" for minute in (21, 22, 23)]
    assert desk.player.state.fired == 3


def test_a_time_is_skipped_while_the_last_execution_runs() -> None:
    """With the overlap rule ``skip`` a due time is let go, and the log names what was in its way."""
    desk = Desk(every_seconds=60.0)
    desk.at(START + MINUTE)
    assert desk.at(START + 2 * MINUTE) == [
        e.ScheduleSkipped(START + 2 * MINUTE, START + 3 * MINUTE, "daily-20231114T221420Z")
    ]
    assert kinds(desk.end("daily-20231114T221420Z")) == ["RunEnded"]
    assert kinds(desk.at(START + 3 * MINUTE)) == ["ScheduleFired"]


def test_one_time_queues_behind_the_execution_that_runs() -> None:
    """With the overlap rule ``queue`` one due time waits, later ones are skipped, and its turn comes."""
    desk = Desk(every_seconds=60.0, overlap=Overlap.QUEUE)
    desk.at(START + MINUTE)
    assert kinds(desk.at(START + 2 * MINUTE)) == ["ScheduleQueued"]
    assert kinds(desk.at(START + 3 * MINUTE)) == ["ScheduleSkipped"]
    ended, fired = desk.end("daily-20231114T221420Z")
    assert (ended.execution_id, fired.due_at) == ("daily-20231114T221420Z", START + 2 * MINUTE)


def test_the_older_execution_is_cancelled() -> None:
    """With the overlap rule ``cancel`` what runs is cancelled until its end is recorded."""
    desk = Desk(every_seconds=60.0, overlap=Overlap.CANCEL)
    desk.at(START + MINUTE)
    first = desk.started[0]
    desk.tell(m.SubmissionRecorded("daily", first))
    assert kinds(desk.at(START + 2 * MINUTE)) == ["RunSuperseded", "ScheduleFired"]
    cancels = [x.message for x in desk.effects if isinstance(x, Send)]
    assert [x.execution_id for x in cancels if isinstance(x, m.CancelExecution)] == [first]
    desk.end(first)
    assert list(desk.player.state.alive) == [desk.started[1]]


def test_a_limit_of_runs_ends_the_schedule() -> None:
    """After so many executions nothing is due any more, and when the last one has ended it is over."""
    desk = Desk(every_seconds=60.0, max_runs=1)
    assert desk.at(START + MINUTE)[0].next_at == 0
    assert not desk.player.behaviour.is_over(desk.player.state)
    desk.end(desk.started[0])
    assert desk.player.behaviour.is_over(desk.player.state)


def test_what_passes_during_a_pause_does_not_count() -> None:
    """A paused schedule starts nothing, and goes on with the first due time after it was resumed."""
    desk = Desk(every_seconds=60.0)
    assert kinds(desk.tell(m.PauseSchedule("daily"))) == ["SchedulePaused"]
    assert desk.at(START + 5 * MINUTE) == []
    desk.now_ms = START + 5 * MINUTE + 1
    assert desk.tell(m.ResumeSchedule("daily")) == [e.ScheduleResumed(START + 6 * MINUTE)]
    assert kinds(desk.at(START + 6 * MINUTE)) == ["ScheduleFired"]


def test_resuming_what_is_not_paused_changes_nothing() -> None:
    """A due time that has just come is not lost when somebody resumes a schedule that was not paused."""
    desk = Desk(every_seconds=60.0)
    desk.now_ms = START + MINUTE + 1
    assert desk.tell(m.ResumeSchedule("daily")) == [e.ScheduleResumed(START + MINUTE)]
    assert kinds(desk.at(START + MINUTE + 2)) == ["ScheduleFired"]


def test_an_instant_is_kept_through_an_outage() -> None:
    """A start at one instant that nobody was there for happens as soon as somebody is, once."""
    desk = Desk(at=(START + MINUTE) / 1000, execution_id="mine")
    assert kinds(desk.at(START + 600 * MINUTE)) == ["ScheduleFired"]
    assert desk.started == ["mine"]
    assert desk.put(at=(START + 900 * MINUTE) / 1000, execution_id="mine") == []


def test_a_burst_starts_one_execution_with_the_last_input() -> None:
    """Every submission of a burst has the same id, moves the start on, and the last workflow is run."""
    desk = Desk(quiet_seconds=60.0)
    execution_id = desk.player.state.execution_id
    desk.now_ms += MINUTE - 1
    other = WorkflowBuilder("other", id="other").add_task(Task("b", "sleep", payload={"seconds": 0})).build()
    (again,) = desk.tell(m.PutSchedule("daily", Schedule(quiet_seconds=60.0), other))
    assert (again.execution_id, again.next_at) == (execution_id, START + 2 * MINUTE - 1)
    assert desk.at(START + MINUTE) == []
    desk.at(START + 2 * MINUTE)
    submissions = [x.message for x in desk.effects if isinstance(x, Send)]
    assert [x.workflow for x in submissions if isinstance(x, m.SubmitWorkflow)] == [other]
    desk.now_ms += MINUTE
    assert desk.put(quiet_seconds=60.0)[0].execution_id != execution_id


def test_a_burst_that_never_ends_starts_all_the_same() -> None:
    """However many submissions come, the start is not put off beyond the longest wait."""
    desk = Desk(quiet_seconds=60.0, max_wait_seconds=90.0)
    desk.now_ms += 50_000
    assert desk.put(quiet_seconds=60.0, max_wait_seconds=90.0)[0].next_at == START + 90_000


@pytest.mark.parametrize("overlap", [Overlap.SKIP, Overlap.QUEUE])
def test_a_burst_is_not_let_go_while_the_one_before_runs(overlap: Overlap) -> None:
    """Who called was promised an execution by its id, which starts although the last one still runs."""
    desk = Desk(quiet_seconds=60.0, overlap=overlap)
    desk.at(START + MINUTE)
    (again,) = desk.put(quiet_seconds=60.0, overlap=overlap)
    desk.at(START + 2 * MINUTE)
    assert desk.started[1:] == [again.execution_id]
    assert len(desk.player.state.alive) == 2


def test_an_instant_is_kept_while_something_runs() -> None:
    """A start at an instant happens under its promised id beside one that somebody asked for by hand."""
    desk = Desk(at=(START + MINUTE) / 1000, execution_id="mine")
    desk.tell(m.RunSchedule("daily", "by-hand"))
    desk.at(START + MINUTE)
    assert desk.started == ["by-hand", "mine"]


def test_a_burst_goes_on_through_a_pause() -> None:
    """A call that comes while the burst is paused waits for the start that those before it were promised."""
    desk = Desk(quiet_seconds=60.0)
    promised = desk.player.state.execution_id
    desk.tell(m.PauseSchedule("daily"))
    desk.now_ms += 1_000
    (again,) = desk.put(quiet_seconds=60.0)
    assert again.execution_id == promised
    desk.at(again.next_at)
    assert desk.started == [promised]


def test_resuming_starts_no_more_than_the_limit_of_runs() -> None:
    """A schedule that has started all that it may is not due again after a pause."""
    desk = Desk(every_seconds=60.0, max_runs=1)
    desk.at(START + MINUTE)
    desk.tell(m.PauseSchedule("daily"))
    (refused,) = desk.tell(m.ResumeSchedule("daily"))
    assert (refused.code, "as many executions as it may" in refused.message) == ("schedule_never_fires", True)
    assert desk.at(START + 9 * MINUTE) == []


@pytest.mark.parametrize(
    ("schedule", "code"),
    [
        ({"at": START / 1000 - 1}, "schedule_never_fires"),
        ({"cron": "0 0 31 4 *"}, "bad_cron"),
        ({"cron": "* * */20 * 1L"}, "schedule_never_fires"),
        ({"every_seconds": 60.0, "ends_at": START / 1000 + 5}, "schedule_never_fires"),
    ],
)
def test_a_schedule_that_never_fires_is_refused(schedule: dict[str, Any], code: str) -> None:
    """The refusal is an event with its reason, and what was set before stays."""
    desk = Desk(every_seconds=60.0)
    (refused,) = desk.put(**schedule)
    assert (type(refused), refused.code) == (e.RequestRefused, code)
    assert desk.player.state.next_at == START + MINUTE


def test_requests_about_nothing_are_refused() -> None:
    """Whoever asks for a schedule that does not exist, or no longer does, gets an answer."""
    desk = Desk(every_seconds=60.0)
    assert kinds(desk.tell(m.RemoveSchedule("daily"))) == ["ScheduleRemoved"]
    requests = [
        m.RemoveSchedule("daily"),
        m.PauseSchedule("daily"),
        m.ResumeSchedule("daily"),
        m.RunSchedule("daily", "x"),
    ]
    assert {event.code for request in requests for event in desk.tell(request)} == {"unknown_schedule"}
    assert desk.at(START + 5 * MINUTE) == []


def test_run_now_disturbs_nothing() -> None:
    """An execution that a person starts is there at once, once, and the due times stay as they were."""
    desk = Desk(every_seconds=60.0)
    (fired,) = desk.tell(m.RunSchedule("daily", "daily-now"))
    assert (fired.due_at, fired.next_at) == (0, START + MINUTE)
    assert desk.tell(m.RunSchedule("daily", "daily-now")) == []
    desk.end("daily-now")
    assert kinds(desk.at(START + MINUTE)) == ["ScheduleFired"]


def test_what_was_recorded_is_folded_to_the_same_state() -> None:
    """A history with every kind of event folds to the state that decided it, also through a snapshot."""
    desk = Desk(every_seconds=60.0, overlap=Overlap.CANCEL)
    desk.at(START + 5 * MINUTE)
    desk.tell(m.SubmissionRecorded("daily", desk.started[0]))
    desk.at(START + 6 * MINUTE)
    desk.tell(m.PauseSchedule("daily"))
    desk.tell(m.ResumeSchedule("daily"))
    desk.end(desk.started[0])
    desk.player.check_replay()


def test_a_schedule_that_is_not_due_lets_its_alarm_go() -> None:
    """Pausing and removing clear the alarm, resuming clears it again, and setting it anew ends that."""
    desk = Desk(every_seconds=60.0)
    for stop in (m.PauseSchedule("daily"), m.RemoveSchedule("daily")):
        desk.effects.clear()
        desk.tell(stop)
        assert desk.effects == [ClearAlarm("daily", "due")]
        assert list(STARTER.resume(desk.player.state)) == [ClearAlarm("daily", "due")]
    desk.put(every_seconds=60.0)
    assert list(STARTER.resume(desk.player.state)) == [SetAlarm("daily", "due", START + MINUTE)]


def test_a_request_that_comes_again_changes_nothing() -> None:
    """After a crash a request is delivered again, perhaps behind later ones, and is heard once."""
    desk = Desk(every_seconds=60.0)
    put = m.PutSchedule("daily", Schedule(every_seconds=120.0), WORKFLOW, request_id="put")
    asked: list[m.StarterMessage] = [
        m.PauseSchedule("daily", "pause"),
        m.ResumeSchedule("daily", "resume"),
        m.RunSchedule("daily", "by-hand", "run"),
        put,
        m.RemoveSchedule("daily", "remove"),
        m.PauseSchedule("daily", "too-late"),
        m.PutSchedule("daily", Schedule(every_seconds=180.0), WORKFLOW, request_id="again"),
    ]
    for message in asked:
        assert len(desk.tell(message)) == 1
    for message in asked:
        assert desk.tell(message) == []
    schedule = desk.player.state.schedule
    assert schedule is not None
    assert schedule.every_seconds == 180.0


def test_only_the_last_requests_are_remembered() -> None:
    """The state does not grow with what people ask."""
    desk = Desk(every_seconds=60.0)
    for number in range(REQUESTS_KEPT + 10):
        desk.tell(m.PauseSchedule("daily", f"p{number}"))
    assert len(desk.player.state.requests) == REQUESTS_KEPT


def test_requests_of_old_have_no_id_and_are_always_heard() -> None:
    """A message that was written before there were ids is never taken for a repeat."""
    desk = Desk(every_seconds=60.0)
    assert kinds(desk.tell(m.PauseSchedule("daily")) + desk.tell(m.PauseSchedule("daily"))) == [
        "SchedulePaused",
        "SchedulePaused",
    ]
