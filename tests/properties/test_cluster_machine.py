"""Goal: the four behaviours keep their laws under any interleaving of whatever may happen.

Method: Hypothesis drives the closed model: it chooses which message arrives, how often and in which
order, who crashes and after which event of a decision. The model checks after every event: the resume
law B1, S1 to S5 of executions, R1 to R4 of the pool and X1 between both; at the end everything must
come to rest with nothing held.
"""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from talka_chaos.graphs import AGENT_TYPE, random_workflow
from talka_chaos.model import POOL_NAME, Model
from talka_chaos.urgent import urgent
from talka_protocols import messages as m
from talka_protocols.events import Holder
from talka_protocols.messages import Outcome, Recipient
from talka_protocols.policies import Breaker
from talka_protocols.workflow import ResourceRequirements, Strategy, Workflow

choice = st.integers(0, 10_000)
WORKERS = {"w1": 2.0, "w2": 3.3}
BREAKERS = {AGENT_TYPE: Breaker(2, 60_000, 5_000, 2)}
LICENCE = {"licence": 1.0}
"""What the pool has as a whole; every third task wants it."""


def licensed(workflow: Workflow) -> Workflow:
    """Return the workflow with every third task in need of a licence."""
    needs = ResourceRequirements(custom_resources=LICENCE)
    tasks = [
        replace(task, resources=needs) if place % 3 == 0 else task
        for place, task in enumerate(workflow.tasks)
    ]
    return replace(workflow, tasks=tuple(tasks))


class ClusterMachine(RuleBasedStateMachine):
    """One cluster; every rule is something that may happen in a real one."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model(WORKERS)
        self.fences: dict[str, int] = {}
        self.submissions: list[m.SubmitWorkflow] = []

    @initialize(seed=choice, sizes=st.lists(st.integers(1, 7), min_size=1, max_size=2))
    def submit(self, seed: int, sizes: list[int]) -> None:
        """Clients submit workflows to a pool with one licence."""
        self.model.tell(Recipient.RESOURCE, m.ConfigurePool(POOL_NAME, LICENCE, breakers=BREAKERS))
        for place, size in enumerate(sizes):
            drawn = licensed(random_workflow(Random(seed), f"e{place}", size))
            workflow = urgent(seed, drawn, place)
            self.submissions.append(m.SubmitWorkflow(workflow.id, workflow))
            self.model.submit(workflow)

    @precondition(lambda self: self.model.soup)
    @rule(times=st.integers(1, 12))
    def deliver_in_order(self, times: int) -> None:
        """Messages arrive as they were sent."""
        for _ in range(min(times, len(self.model.soup))):
            self.model.deliver(0)

    @precondition(lambda self: self.model.soup)
    @rule(at=choice, is_kept=st.booleans())
    def deliver_any(self, at: int, *, is_kept: bool) -> None:
        """A message overtakes others, and perhaps arrives again."""
        self.model.deliver(at % len(self.model.soup), is_kept=is_kept)

    @precondition(lambda self: self.model.soup)
    @rule(at=choice, cut=st.integers(0, 7))
    def crash_within_a_commit(self, at: int, cut: int) -> None:
        """The receiver dies when only the first events of its decision are stored."""
        self.model.deliver(at % len(self.model.soup), cut=cut)

    @precondition(lambda self: self.model.soup)
    @rule(limit=st.integers(2, 12), cut=st.sampled_from([None, None, 0, 1, 2, 3, 5, 8]))
    def deliver_together(self, limit: int, cut: int | None) -> None:
        """The pool takes what has arrived as one batch, perhaps to die when a part of it is stored."""
        self.model.deliver_together(limit, cut)

    @precondition(lambda self: self.model.soup)
    @rule(at=choice)
    def drop(self, at: int) -> None:
        """A message is lost."""
        self.model.drop(at % len(self.model.soup))

    @precondition(lambda self: self.model.archive)
    @rule(at=choice)
    def repeat_an_old_message(self, at: int) -> None:
        """A message that arrived long ago arrives again."""
        self.model.tell(*self.model.archive[at % len(self.model.archive)])

    @precondition(lambda self: self.model.running)
    @rule(at=choice, outcome=st.sampled_from([Outcome.SUCCEEDED, Outcome.SUCCEEDED, *Outcome]))
    def end_attempt(self, at: int, outcome: Outcome) -> None:
        """An attempt ends."""
        self.model.end(list(self.model.running)[at % len(self.model.running)], outcome)

    @precondition(lambda self: self.model.running)
    @rule(at=choice)
    def begin_attempt(self, at: int) -> None:
        """An executor says that it has begun."""
        self.model.begin(list(self.model.running)[at % len(self.model.running)])

    @rule(at=choice)
    def resume(self, at: int) -> None:
        """An actor repeats what it owes."""
        self.model.resume(*list(self.model.players)[at % len(self.model.players)])

    @rule(at=choice)
    def crash(self, at: int) -> None:
        """An actor dies between two messages."""
        self.model.crash(*list(self.model.players)[at % len(self.model.players)])

    @rule(worker_id=st.sampled_from(sorted(WORKERS)))
    def silence(self, worker_id: str) -> None:
        """A worker is taken for dead."""
        self.model.silence(worker_id)

    @rule(worker_id=st.sampled_from(sorted(WORKERS)))
    def cut_off(self, worker_id: str) -> None:
        """A worker finds that the pool does not hear it any more."""
        self.model.tell(Recipient.WORKER, m.ContactLost(worker_id))

    @rule()
    def restore_contact(self) -> None:
        """The pool hears every worker again."""
        self.model.restore_contact()

    @rule(licences=st.sampled_from([1.0, 2.5]))
    def configure(self, licences: float) -> None:
        """The pool's operator buys licences, or says again what there is."""
        known = self.model.players[Recipient.RESOURCE, POOL_NAME].state.shared["licence"]
        declared = m.ConfigurePool(POOL_NAME, {"licence": max(known, licences)}, breakers=BREAKERS)
        self.model.tell(Recipient.RESOURCE, declared)

    @precondition(lambda self: self.model.timers)
    @rule(at=choice)
    def fire(self, at: int) -> None:
        """A timer runs out."""
        self.model.fire(sorted(self.model.timers)[at % len(self.model.timers)])

    @rule(is_forced=st.booleans())
    def cancel(self, *, is_forced: bool) -> None:
        """A client cancels the first execution, perhaps by force."""
        self.model.tell(Recipient.SCHEDULER, m.CancelExecution("e0", is_forced=is_forced))

    @rule(request=choice, task=st.sampled_from(["t0", "t1", "t2", "none"]), is_forced=st.booleans())
    def cancel_one_task(self, request: int, task: str, *, is_forced: bool) -> None:
        """A client cancels one task of the first execution, perhaps by force."""
        self.model.ask(m.CancelSingleTask("e0", f"c{request}", task, is_forced=is_forced))

    @rule(request=choice, task=st.sampled_from(["", "", "t0", "t1"]))
    def pause(self, request: int, task: str) -> None:
        """A client pauses the first execution, or one of its tasks."""
        self.model.ask(m.PauseExecution("e0", f"p{request}", task))

    @rule(request=choice, strategy=st.sampled_from(["", *Strategy]), priority=st.sampled_from([None, 0, 90]))
    def reprioritize(self, request: int, strategy: str, priority: int | None) -> None:
        """A client changes the order in which the first execution goes on."""
        self.model.ask(m.ReprioritizeExecution("e0", f"o{request}", strategy, priority))

    @rule(request=choice, task=st.sampled_from(["", "", "t0", "t1"]), limit_ms=st.sampled_from([0, 5_000]))
    def resume_work(self, request: int, task: str, limit_ms: int) -> None:
        """A client resumes the first execution, or one of its tasks, perhaps with more time."""
        self.model.ask(m.ResumeExecution("e0", f"r{request}", task, limit_ms))

    @rule(
        name=st.sampled_from("abc"),
        cores=st.sampled_from([0.5, 1.1, 3.0]),
        reserve=st.booleans(),
        licences=st.sampled_from([0.0, 0.5]),
    )
    def client_asks(self, name: str, cores: float, licences: float, *, reserve: bool) -> None:
        """A client reserves resources, or asks for them, perhaps under its reservation."""
        amounts = {"cpu_cores": cores} | ({"licence": licences} if licences else {})
        if reserve:
            message: m.ResourceMessage = m.ReserveResources(POOL_NAME, f"r{name}", "c", amounts)
        else:
            holder = Holder(client_id="c")
            message = m.RequestAllocation(POOL_NAME, name, holder, "work", amounts, (), f"r{name}")
        self.model.tell(Recipient.RESOURCE, message)

    @rule(name=st.sampled_from("abc"))
    def client_releases(self, name: str) -> None:
        """A client gives back what it holds under a name, or nothing."""
        holder = Holder(client_id="c")
        self.model.tell(Recipient.RESOURCE, m.ReleaseAllocation(POOL_NAME, name, holder))

    @rule()
    def client_leaves(self) -> None:
        """The client falls silent for its whole lease, and perhaps comes back."""
        self.model.tell(Recipient.RESOURCE, m.ClientLeft(POOL_NAME, "c"))

    @invariant()
    def fences_only_grow(self) -> None:
        """R2: an allocation's fence never goes back, and a new grant's is above all before it."""
        pool = self.model.players.get((Recipient.RESOURCE, POOL_NAME))
        if pool is not None:
            newest = pool.state.next_fence
            assert newest >= self.fences.get("", 0)
            self.fences[""] = newest

    def teardown(self) -> None:
        """After all this everything still comes to rest, and logs replay to the same states."""
        for submission in self.submissions:
            self.model.tell(Recipient.PLANNER, submission)
        self.model.tell(Recipient.RESOURCE, m.ClientLeft(POOL_NAME, "c"))
        for name in "abc":
            self.model.tell(Recipient.RESOURCE, m.EndReservation(POOL_NAME, f"r{name}"))
        self.model.finish()


ClusterMachine.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
TestCluster = ClusterMachine.TestCase
