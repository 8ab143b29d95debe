"""What attempts used: recorded once, held against what was asked for, and turned into better requirements."""

from __future__ import annotations

from msgspec.structs import replace
from tests.replay.scenarios import plain
from tests.replay.scenarios.running import deliver_all

from talka_chaos.players import Player
from talka_core.scheduler.usage import measured, overuse_sentence, proposals
from talka_core.status import result_of, status_of
from talka_protocols.events import Overuse, TaskUsageMeasured, Usage
from talka_protocols.messages import AttemptFinished, Outcome, Recipient
from talka_protocols.workflow import ResourceRequirements


def _player() -> Player:
    model = plain.usage()
    deliver_all(model)
    return model.players[Recipient.SCHEDULER, "golden"]


def test_each_attempt_is_measured_whatever_became_of_it() -> None:
    """There is one event for each attempt, with what it used too much of."""
    events = [event for event in _player().events() if isinstance(event, TaskUsageMeasured)]
    assert [(event.attempt, event.usage) for event in events] == [
        (1, Usage(400, 300, 160.0)),
        (2, Usage(2_000, 1_900, 90.0)),
    ]
    # The first was too short to say how many cores the task needs.
    assert [event.overuse for event in events] == [(), (Overuse("cpu_cores", 0.5, 0.95),)]


def test_a_repeated_report_is_not_measured_again() -> None:
    """A half-stored decision that is taken again records the rest and no second measure."""
    player = _player()
    report = AttemptFinished("golden", "hog", 2, "w1", 1, 2, Outcome.SUCCEEDED, usage=Usage(1, 1))
    assert list(measured(player.state, report)) == []


def test_overuse_is_told_and_better_requirements_are_proposed() -> None:
    """The status warns; the proposal covers what was seen with a margin, in round steps."""
    state = _player().state
    assert status_of(state).alerts == (
        "Attempt 2 of the task 'hog' used 0.95 cpu_cores (it asks for 0.5). Raise its resources.",
    )
    assert result_of(state).tasks["hog"].usage == Usage(2_000, 1_900, 90.0)
    (proposal,) = proposals(state)
    assert (proposal.cpu_cores, proposal.memory_mb) == (1.0, 128.0)


def test_more_gpus_than_asked_for_are_overuse() -> None:
    """A task that asks for none and is seen on two is told of it; one that asks for two is not."""
    player = _player()
    usage = Usage(1_000, 10, gpus=2, gpu_memory_mb=500.0)
    report = AttemptFinished("golden", "hog", 3, "w1", 1, 2, Outcome.SUCCEEDED, usage=usage)
    (event,) = measured(player.state, report)
    assert isinstance(event, TaskUsageMeasured)
    assert event.overuse == (Overuse("gpu_count", 0, 2),)
    assert "used 2 gpu_count (it asks for 0)" in overuse_sentence(event)
    tasks = player.state.index.tasks
    tasks["hog"] = replace(tasks["hog"], resources=ResourceRequirements(gpu_count=2))
    (event,) = measured(player.state, report)
    assert isinstance(event, TaskUsageMeasured)
    assert event.overuse == ()
