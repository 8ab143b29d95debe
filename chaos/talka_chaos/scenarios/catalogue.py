"""All scenarios, by name."""

from __future__ import annotations

from talka_chaos.processes import NATS, SERVICES
from talka_chaos.scenarios import clocks, disks, kills, network, nodes, readers, rolling, upgrading
from talka_chaos.scenarios.older import OLDER
from talka_chaos.scenarios.scenario import Need, Scenario

HOUR_S = 3600
MACHINE = frozenset({Need.LINUX, Need.ROOT})
THROTTLED = frozenset({*MACHINE, Need.THROTTLE})
PAST = frozenset({Need.HISTORY})
FAKED = frozenset({Need.LINUX, Need.FAKETIME})


def upgrades(commit: str) -> tuple[Scenario, ...]:
    """Return the scenarios of an upgrade from a commit."""
    return (
        Scenario(
            "upgrade",
            "services, then workers of an older version give way to those of this one",
            upgrading.upgrade_from(commit, workers_first=False),
            PAST,
        ),
        Scenario(
            "upgrade-workers-first",
            "workers, then services of an older version give way to those of this one",
            upgrading.upgrade_from(commit, workers_first=True),
            PAST,
        ),
    )


_ALL = (
    *(
        Scenario(f"kill-{name}", f"the {name} service is killed and started again", kills.kill(name))
        for name in SERVICES
    ),
    Scenario("kill-worker", "a worker is killed and started again", kills.kill("w1")),
    Scenario("kill-server", "the NATS server is killed, for 3 s", kills.kill(NATS, away_s=3.0)),
    Scenario(
        "kill-all",
        "every process is killed at once and started again",
        kills.kill(NATS, *SERVICES, "w1", "w2"),
    ),
    Scenario("kill-storm", "for 6 s one process after the other is killed", kills.storm),
    *(
        Scenario(
            f"freeze-{name}",
            f"one of two {name} services stands still until the other owns everything, then comes back",
            kills.freeze_owner(name),
        )
        for name in SERVICES
    ),
    Scenario("freeze-worker", "a worker stands still until it is lost, then comes back", kills.freeze_worker),
    Scenario("freeze-server", "the NATS server stands still for 5 s", kills.freeze_server),
    Scenario(
        "cut-scheduler",
        "the scheduler, in a network namespace, is cut off both ways until another owns everything",
        network.cut_owner("scheduler", is_one_way=False),
        MACHINE,
    ),
    Scenario(
        "cut-resource-one-way",
        "what the resource service sends is lost until another owns everything; what is sent to it arrives",
        network.cut_owner("resource", is_one_way=True),
        MACHINE,
    ),
    Scenario(
        "cut-worker",
        "a worker, in a network namespace, is cut off until it is lost",
        network.cut_worker,
        MACHINE,
    ),
    Scenario(
        "slow-network",
        "for 6 s everything takes 50 to 100 ms each way to and from NATS",
        network.slow_network,
    ),
    Scenario(
        "reset-connections", "all connections to NATS are broken 8 times in 4 s", network.reset_connections
    ),
    Scenario("full-disk", "the disk of NATS has no free block for 4 s", disks.full_disk, MACHINE),
    Scenario(
        "read-only-disk", "the disk of NATS fails and is read-only for 4 s", disks.read_only_disk, MACHINE
    ),
    Scenario("slow-disk", "the disk of NATS takes 40 writes a second, for 6 s", disks.slow_disk, THROTTLED),
    Scenario(
        "power-loss", "power is lost: all start on what had reached the disk", disks.power_loss, MACHINE
    ),
    Scenario(
        "clock-ahead",
        "the clock of all services jumps an hour ahead, and back after 5 s",
        clocks.clock_jump(HOUR_S, *SERVICES),
        FAKED,
    ),
    Scenario(
        "clock-behind",
        "the clock of all services jumps an hour back, and ahead after 5 s",
        clocks.clock_jump(-HOUR_S, *SERVICES),
        FAKED,
    ),
    Scenario(
        "clock-worker",
        "a worker's clock jumps an hour ahead, and back after 5 s",
        clocks.clock_jump(HOUR_S, "w1"),
        FAKED,
    ),
    Scenario("kill-leader", "of three NATS nodes the leader is killed, for 4 s", nodes.kill_leader),
    Scenario("kill-two-nodes", "of three NATS nodes two are killed, for 4 s", nodes.kill_two),
    Scenario(
        "isolate-leader",
        "of three NATS nodes the leader cannot reach the others for 8 s, its clients can reach it",
        nodes.isolate_leader,
    ),
    Scenario("kill-readers", "gateway and projector are killed three times", readers.kill_readers),
    Scenario("roll", "one process after the other gives way to a successor, as in an upgrade", rolling.roll),
    *upgrades(OLDER),
)
CATALOGUE = {scenario.name: scenario for scenario in _ALL}
