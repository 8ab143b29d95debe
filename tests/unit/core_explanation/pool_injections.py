"""What of a pool keeps a task from running, brought about by the real actors, and what must be said."""

from __future__ import annotations

from tests.unit.core_explanation.injections import Injection
from tests.unit.core_explanation.stage import Stage, task

from talka_chaos.graphs import AGENT_TYPE
from talka_core.resource import RESOURCE
from talka_protocols import messages as m
from talka_protocols.events import AllocationFreed, Holder, TaskFailure
from talka_protocols.explanations import CauseKind, Explanation
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import Breaker, Concurrency, Rate
from talka_protocols.workflow import Strategy

K = CauseKind


def _key_limit(stage: Stage) -> Explanation:
    stage.submit(task("a", concurrency=Concurrency("orders")), name="first")
    stage.submit(task("a", concurrency=Concurrency("orders")))
    return stage.explain("a")


def _rate_limit(stage: Stage) -> Explanation:
    stage.submit(task("a", rate=Rate("mail", 1, 60.0)), task("b", rate=Rate("mail", 1, 60.0)))
    return stage.explain("b")


def _pool_wide(stage: Stage) -> Explanation:
    stage.pool(m.ConfigurePool("default", {"licence": 1.0}))
    stage.submit(task("a", custom={"licence": 1.0}), name="first")
    stage.submit(task("a", custom={"licence": 1.0}))
    return stage.explain("a")


def _resource(stage: Stage) -> Explanation:
    stage.submit(task("a", cores=3.0), name="first")
    stage.submit(task("a", cores=2.0))
    return stage.explain("a")


def _cut_short(stage: Stage) -> Explanation:
    """The pool has recorded a release, and its commit ended in front of the grant that follows."""
    found = _resource(stage)
    pool = stage.model.players[Recipient.RESOURCE, "default"].state
    RESOURCE.evolve(pool, AllocationFreed("first/a/1", Holder("first", "a", 1)), stage.model.now_ms)
    return stage.explain(found.task_id)


def _slots(stage: Stage) -> Explanation:
    stage.submit(*(task(name) for name in "abcd"), name="first")
    stage.submit(task("a"))
    return stage.explain("a")


def _reservation(stage: Stage) -> Explanation:
    stage.pool(m.ReserveResources("default", "r1", "client-1", {"cpu_cores": 3.0}, ttl_ms=60_000))
    stage.submit(task("a", cores=2.0))
    return stage.explain("a")


def _queue(stage: Stage) -> Explanation:
    stage.submit(task("a", cores=4.0), name="first")
    stage.submit(task("b", cores=4.0, priority=90), name="second")
    stage.submit(task("c", cores=4.0, priority=10))
    return stage.explain("c")


def _no_worker(stage: Stage) -> Explanation:
    stage.submit(task("a", agent_type="painter"))
    return stage.explain("a")


def _preemptible(stage: Stage) -> None:
    stage.submit(task("a", cores=4.0, is_preemptible=True), name="low")
    stage.begin("a")
    stage.submit(
        task("b", cores=4.0, estimated_seconds=1.0), name="e", strategy=Strategy.DEADLINE, deadline=2.0
    )


def _asked_to_make_way(stage: Stage) -> Explanation:
    _preemptible(stage)
    return stage.explain("a", "low")


def _deadline(stage: Stage) -> Explanation:
    _preemptible(stage)
    return stage.explain("b")


def _preempted(stage: Stage) -> Explanation:
    _preemptible(stage)
    stage.end("a", Outcome.CANCELLED)
    return stage.explain("a", "low")


def _draining(stage: Stage) -> Explanation:
    stage.pool(m.DrainWorker("default", "w1", 1))
    stage.submit(task("a"))
    return stage.explain("a")


def _too_large(stage: Stage) -> Explanation:
    stage.submit(task("a", cores=5.0))
    return stage.explain("a")


def _never_fits(stage: Stage) -> Explanation:
    stage.submit(task("a", cores=5.0))
    stage.pool(m.ConfigurePool("default", {}, {"cpu_cores": 4.0}))
    return stage.explain("a")


def _more_than_the_pool(stage: Stage) -> Explanation:
    stage.pool(m.ConfigurePool("default", {"licence": 1.0}))
    stage.submit(task("a", custom={"licence": 2.0}))
    return stage.explain("a")


def _not_requested(stage: Stage) -> Explanation:
    stage.lost = (m.RequestAllocation,)
    stage.submit(task("a"))
    return stage.explain("a")


def _not_dispatched(stage: Stage) -> Explanation:
    stage.lost = (m.GrantAllocation,)
    stage.submit(task("a"))
    return stage.explain("a")


def _not_started(stage: Stage) -> Explanation:
    stage.submit(task("a"))
    return stage.explain("a")


def _worker_lost(stage: Stage) -> Explanation:
    stage.submit(task("a"))
    stage.begin("a")
    stage.lost = (m.RevokeAllocation,)
    stage.model.silence("w1")
    stage.deliver()
    return stage.explain("a")


def _worker_never_back(stage: Stage) -> Explanation:
    stage.submit(task("a"))
    stage.begin("a")
    stage.lost = (m.RejoinWorker,)
    stage.model.silence("w1")
    stage.deliver()
    return stage.explain("a")


def _breaker(stage: Stage) -> Explanation:
    stage.pool(m.ConfigurePool("default", breakers={AGENT_TYPE: Breaker(1, 60_000, 5_000)}))
    stage.submit(task("a"), name="first")
    stage.end("a", Outcome.FAILED, error=TaskFailure("boom", "It exploded."))
    stage.submit(task("a"))
    return stage.explain("a")


def _quota(stage: Stage) -> Explanation:
    stage.pool(m.ConfigurePool("default", quotas={"team": {"cpu_cores": 2.0}}))
    stage.submit(task("a", cores=2.0), name="first", tenant="team")
    stage.submit(task("a", cores=1.0), tenant="team")
    return stage.explain("a")


def _execution_limit(stage: Stage) -> Explanation:
    stage.submit(task("a", cores=1.0), task("b", cores=1.0), limits={"cpu_cores": 1.5})
    return stage.explain("b")


def _fairness(stage: Stage) -> Explanation:
    stage.submit(task("a", cores=3.0), name="first", tenant="rich")
    stage.submit(task("b", cores=2.0, priority=10), name="second", tenant="poor")
    stage.submit(task("c", cores=2.0, priority=90), tenant="rich")
    return stage.explain("c")


def _held(stage: Stage) -> Explanation:
    stage.submit(task("a", cores=3.0, estimated_seconds=5.0), name="first")
    stage.submit(task("b", cores=4.0, priority=90), name="second")
    stage.submit(task("c", cores=1.0, estimated_seconds=60.0))
    return stage.explain("c")


def _gang(stage: Stage) -> Explanation:
    stage.submit(task("x", cores=2.0), name="first")
    stage.submit(task("a", cores=1.0, gang="g"), task("b", cores=2.0, gang="g"))
    return stage.explain("a")


def _gang_not_ready(stage: Stage) -> Explanation:
    stage.submit(task("a", gang="g"), task("b", "x", gang="g"), task("x"))
    return stage.explain("a")


def _gang_over_quota(stage: Stage) -> Explanation:
    stage.pool(m.ConfigurePool("default", quotas={"default": {"cpu_cores": 1.0}}))
    stage.submit(task("a", cores=1.0, gang="g"), task("b", cores=1.0, gang="g"))
    return stage.explain("a")


def _book(stage: Stage) -> None:
    starts_at = stage.model.now_ms + 60_000
    cores = {"cpu_cores": 3.0}
    stage.pool(m.ReserveResources("default", "r1", "c", cores, ttl_ms=60_000, starts_at=starts_at))


def _own_booking(stage: Stage) -> Explanation:
    _book(stage)
    stage.submit(task("a", cores=2.0, reservation="r1"))
    return stage.explain("a")


def _other_booking(stage: Stage) -> Explanation:
    _book(stage)
    stage.submit(task("a", cores=2.0))
    return stage.explain("a")


POOL_INJECTIONS: tuple[tuple[Injection, CauseKind, tuple[str, ...]], ...] = (
    (_key_limit, K.KEY_LIMIT, ("key:orders/1", "first/a/1")),
    (_rate_limit, K.RATE_LIMIT, ("rate:mail/1", "e/a/1", "1 min 0 s")),
    (_pool_wide, K.POOL_WIDE, ("licence", "first/a/1")),
    (_resource, K.RESOURCE, ("cpu_cores: 2 asked", "w1 with 1 free of 4", "first/a/1 (3)")),
    (_cut_short, K.NOT_DECIDED, ("fits on worker w1",)),
    (_slots, K.SLOTS, ("first/a/1",)),
    (_reservation, K.RESERVATION, ("cpu_cores", "reservation r1 of client client-1")),
    (_queue, K.QUEUE, ("number 2", "cpu_cores", "second/b/1", "leads by 80 points of priority")),
    (_breaker, K.BREAKER, ("circuit breaker", "is open")),
    (_quota, K.QUOTA, ("cpu_cores: 1 asked", "'team' has 2 of its quota of 2", "first/a/1 (2)")),
    (_execution_limit, K.EXECUTION_LIMIT, ("its own limit of 1.5", "e/a/1 (1)")),
    (_fairness, K.FAIRNESS, ("tenant 'poor' goes first", "0%", "75%", "second/b/1")),
    (_gang, K.GANG, ("together with b", "3 of cpu_cores (2 free)")),
    (_gang_not_ready, K.GANG, ("b is not ready",)),
    (_gang_over_quota, K.QUOTA, ("quota of 1",)),
    (_own_booking, K.RESERVATION, ("'r1', which begins in 1 min",)),
    (_other_booking, K.RESERVATION, ("worker w1", "run into the reservation r1")),
    (_asked_to_make_way, K.PREEMPTED, ("stop attempt 1", "'b' of execution e ranks higher")),
    (_deadline, K.DEADLINE, ("has to start within 1.0 s", "a must make way")),
    (_preempted, K.PREEMPTED, ("Attempt 1 was preempted", "'b' of execution e ranks higher")),
    (_held, K.HELD, ("fits on worker w1", "held for second/b/1")),
    (_no_worker, K.NO_WORKER, ("'painter'",)),
    (_draining, K.DRAINING, ("w1",)),
    (_too_large, K.TOO_LARGE, ("cpu_cores: 5 asked", "the largest worker has 4")),
    (_never_fits, K.NEVER_FITS, ("cpu_cores: 5 asked", "4")),
    (_more_than_the_pool, K.NEVER_FITS, ("licence: 2 asked", "the whole pool has 1")),
    (_not_requested, K.NOT_REQUESTED, ("'default'",)),
    (_not_dispatched, K.NOT_DISPATCHED, ("w1",)),
    (_not_started, K.NOT_STARTED, ("w1",)),
    (_worker_lost, K.WORKER_LOST, ("w1",)),
    (_worker_never_back, K.WORKER_LOST, ("w1", "attempt 1")),
)
