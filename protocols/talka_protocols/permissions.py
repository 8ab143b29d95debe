"""What each service may do at a NATS server: the least that it needs, told by subjects and nothing else.

Rights are lists of subjects, in which ``*`` stands for one token and a ``>`` at the end for all that
follow. A user of the server has those of one service in one namespace. Every
user reads answers on a prefix of its own, so that nobody overhears another one's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

from msgspec import Struct

from talka_protocols.messages.kinds import Recipient
from talka_protocols.messages.speakers import Role
from talka_protocols.subjects import (
    ALERTS,
    BASE,
    EXECUTION,
    PLAN,
    POOL,
    SCHEDULE,
    SHARD,
    TRIGGER,
    WORKER,
    LogName,
    Names,
)

API = "$JS.API"
INBOX = "_INBOX"
PLANNING = (Recipient.PLANNER, Recipient.STARTER, Recipient.TRIGGER)
"""What the planner service owns: whatever begins executions."""


class Service(StrEnum):
    """Who connects to the server."""

    ADMIN = "admin"
    PLANNER = "planner"
    SCHEDULER = "scheduler"
    RESOURCE = "resource"
    WORKER = "worker"
    GATEWAY = "gateway"
    PROJECTOR = "projector"
    ARCHIVER = "archiver"
    CLIENT = "client"


class Rights(Struct, frozen=True):
    """What a user may publish on and subscribe to, sorted."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


class User(Struct, frozen=True):
    """Who a user is: its service, and which worker of which pool it is, ``*`` for any."""

    service: Service
    worker_id: str = "*"
    pool: str = "*"

    @property
    def name(self) -> str:
        """Return what the user is called, as a file and for people."""
        return f"worker-{self.worker_id}" if self.worker_id != "*" else self.service.value


def reply_prefix(public_key: str) -> str:
    """Return where the user with this public key reads answers."""
    return f"{INBOX}.{public_key}" if public_key else INBOX


def rights_of(user: User, names: Names, replies: str = INBOX) -> Rights:
    """Return the least that a user needs; ``replies`` is the prefix of the subjects it reads answers on."""
    match user.service:
        case Service.ADMIN:
            publish, subscribe = _admin(names)
        case Service.PLANNER:
            publish, subscribe = _planner(names)
        case Service.SCHEDULER:
            publish, subscribe = _scheduler(names)
        case Service.RESOURCE:
            publish, subscribe = _resource(names)
        case Service.WORKER:
            publish, subscribe = _worker(names, user)
        case Service.GATEWAY:
            publish, subscribe = _gateway(names)
        case Service.PROJECTOR:
            publish, subscribe = [*_base(names), *_projector(names)], []
        case Service.ARCHIVER:
            publish, subscribe = _archiver(names)
        case Service.CLIENT:
            publish, subscribe = _client(names)
    return Rights(tuple(sorted(set(publish))), tuple(sorted({*subscribe, f"{replies}.>"})))


# --- what the API is asked ---------------------------------------------------------------------------------


def _get(stream: str) -> str:
    return f"{API}.STREAM.MSG.GET.{stream}"


def _purge(stream: str) -> str:
    return f"{API}.STREAM.PURGE.{stream}"


def _follow(stream: str, *subjects: str) -> Iterator[str]:
    """Read subjects of a stream in order, under names that nobody can guess, and say that we go on."""
    yield _get(stream)
    for subject in subjects:
        yield f"{API}.CONSUMER.CREATE.{stream}.*.{subject}"
    yield f"{API}.CONSUMER.DELETE.{stream}.*"
    yield from (f"$JS.FC.{stream}.>", f"$JS.FC.*.*.{stream}.>")


def _settle(stream: str, consumer: str) -> Iterator[str]:
    # The second form is that of servers which name a domain and an account.
    yield from (f"$JS.ACK.{stream}.{consumer}.>", f"$JS.ACK.*.*.{stream}.{consumer}.>")


def _base(names: Names) -> Iterator[str]:
    """What everybody needs to begin: that the streams are there, and what the namespace was made with."""
    yield f"{API}.INFO"
    yield from (f"{API}.STREAM.INFO.{stream}" for stream in names.streams())
    yield _get(names.kv_stream("settings"))


def _read(names: Names) -> Iterator[str]:
    """Read every log, snapshot and stored value, and what tasks print."""
    yield from _follow(names.stream("log"), f"{names.root}.log.>", *_each_log(names))
    yield _get(names.stream("snapshot"))
    yield from _load(names)
    yield from _follow(names.stream("tasklog"), names.tasklogs())


def _each_log(names: Names) -> Iterator[str]:
    yield f"{names.root}.log.*.*.*"
    yield f"{names.root}.log.*.*.>"


def _load(names: Names) -> Iterator[str]:
    return _follow(names.objects_stream(), names.object_chunks("*"))


def _store(names: Names) -> Iterator[str]:
    """Store values and read them."""
    yield from _load(names)
    yield from (names.object_chunks("*"), names.object_meta("*"))


# --- what services do --------------------------------------------------------------------------------------


def _hold(names: Names, *leases: str) -> Iterator[str]:
    """Take leases and keep them."""
    yield from _follow(names.kv_stream("leases"), *map(names.lease, leases))
    yield from map(names.lease, leases)
    yield from map(names.epoch, leases)


def _own(names: Names, kinds: Iterable[Recipient], *leases: str) -> Iterator[str]:
    """Own addresses of some kinds: leases, inboxes and dead letters; and make what streams are missing."""
    yield from _base(names)
    yield from _read(names)
    yield from _store(names)
    yield from (f"{API}.STREAM.CREATE.{stream}" for stream in names.streams())
    yield names.setting("namespace")
    kinds = tuple(kinds)
    yield from _hold(names, *leases, *(f"{kind.value}.*" for kind in kinds))
    for what in ("inbox", "request"):
        stream = names.stream(what)
        yield from (f"{API}.CONSUMER.NAMES.{stream}", f"{API}.CONSUMER.INFO.{stream}.*", _purge(stream))
        yield from _settle(stream, "*")
    for kind in kinds:
        spoken, requests = names.spoken(names.inbox(kind.value, "*"), ">"), names.requests(kind.value, "*")
        yield from _follow(names.stream("inbox"), spoken)
        yield from _follow(names.stream("request"), requests)
        yield from (names.dead_letter(kind.value, "*"), names.owners(kind.value))


def _record(names: Names, *kinds: str) -> Iterator[str]:
    """Append to the logs of some kinds, and keep snapshots of them."""
    for kind in kinds:
        yield from (names.logs(kind), names.snapshots(kind))


def _write(names: Names, speaker: str, *kinds: Recipient) -> Iterator[str]:
    """Write letters to addresses of some kinds."""
    return (names.spoken(names.inbox(kind.value, "*"), speaker) for kind in kinds)


def _planner(names: Names) -> tuple[list[str], list[str]]:
    r = Recipient
    publish = [
        *_own(names, PLANNING, "events"),
        *_record(names, SHARD, PLAN, SCHEDULE, TRIGGER),
        *_write(names, Role.PLANNER, *PLANNING, r.SCHEDULER),
        *_follow(names.stream("events"), names.event(">")),
        names.setting("events"),
        names.requests(r.TRIGGER.value, "*"),
        names.dead_letter("events", "intake"),
        *(names.alarm(kind.value, "*") for kind in PLANNING),
    ]
    return publish, [names.owners(kind.value) for kind in PLANNING]


def _scheduler(names: Names) -> tuple[list[str], list[str]]:
    r = Recipient
    publish = [
        *_own(names, (r.SCHEDULER,)),
        *_record(names, SHARD, EXECUTION),
        *_write(names, Role.SCHEDULER, *PLANNING, r.SCHEDULER, r.RESOURCE, r.WORKER),
    ]
    return publish, [names.owners(r.SCHEDULER.value)]


def _resource(names: Names) -> tuple[list[str], list[str]]:
    r = Recipient
    inbox = names.stream("inbox")
    publish = [
        *_own(names, (r.RESOURCE,), "housekeeping", "inboxes"),
        *_record(names, POOL),
        *_write(names, Role.RESOURCE, r.SCHEDULER, r.WORKER),
        names.answers("*"),
        f"{API}.CONSUMER.LIST.{inbox}",
        # Housekeeping looks for what names a stored value, and removes what nothing names.
        *_follow(names.objects_stream(), names.object_meta(">")),
        *(
            each
            for what in ("log", "snapshot", "inbox", "request", "dead")
            for each in _follow(names.stream(what), f"{names.root}.{what}.>")
        ),
        _purge(names.objects_stream()),
        # A heartbeat is acknowledged to whoever sent it.
        f"{INBOX}.>",
    ]
    return publish, [names.owners(r.RESOURCE.value), names.heartbeat("*", "*")]


def _worker(names: Names, user: User) -> tuple[list[str], list[str]]:
    inbox, is_any = names.stream("inbox"), user.worker_id == "*"
    own_log = names.logs(WORKER, "-") if is_any else names.log(LogName(WORKER, "-", user.worker_id))
    speaker = f"{Role.WORKER.value}.{user.worker_id}"
    spoken = names.spoken(names.inbox(WORKER, user.worker_id), ">")
    consumers = ("*",) if is_any else names.worker_consumers(user.worker_id)
    publish = [
        *_base(names),
        *_store(names),
        *_follow(names.stream("log"), own_log),
        own_log,
        names.heartbeat(user.pool, user.worker_id),
        names.tasklogs(),
        *_write(names, speaker, Recipient.SCHEDULER),
        names.spoken(names.inbox(Recipient.RESOURCE.value, user.pool), speaker),
        names.dead_letter(WORKER, user.worker_id),
    ]
    for consumer in consumers:
        publish += [
            f"{API}.CONSUMER.CREATE.{inbox}.{consumer}.{spoken}",
            f"{API}.CONSUMER.INFO.{inbox}.{consumer}",
            f"{API}.CONSUMER.DELETE.{inbox}.{consumer}",
            f"$JS.FC.{inbox}.{consumer}.>",
            f"$JS.FC.*.*.{inbox}.{consumer}.>",
            *_settle(inbox, consumer),
        ]
    return publish, []


def _client(names: Names) -> tuple[list[str], list[str]]:
    r = Recipient
    publish = [
        *_base(names),
        *_read(names),
        *_store(names),
        *(names.requests(kind.value, "*") for kind in (*PLANNING, r.SCHEDULER, r.RESOURCE)),
        *_write(names, Role.CLIENT, r.RESOURCE),
        names.heartbeat("*", "*"),
        names.event(">"),
    ]
    return publish, [names.answers("*")]


def _gateway(names: Names) -> tuple[list[str], list[str]]:
    """What clients do, and what those that follow do beside it: alerts, traces, figures."""
    publish, subscribe = _client(names)
    publish += [
        names.log(ALERTS),
        names.snapshots("traces"),
        *_hold(names, "*"),
    ]
    return publish, subscribe


def _projector(names: Names) -> Iterator[str]:
    """Read every log, what pruned ones begin with, and the definitions that are stored apart."""
    yield from _follow(names.stream("log"), f"{names.root}.log.>")
    yield _get(names.stream("snapshot"))
    yield from _load(names)


def _archiver(names: Names) -> tuple[list[str], list[str]]:
    """What clients do, and to take away what lies in an archive."""
    publish, subscribe = _client(names)
    publish += [
        _purge(names.stream("log")),
        _purge(names.stream("snapshot")),
        names.snapshots(BASE),
        *_hold(names, "retention"),
    ]
    return publish, subscribe


def _admin(names: Names) -> tuple[list[str], list[str]]:
    """Everything in the namespace: to make it, change it, back it up and restore it."""
    publish = [
        *_base(names),
        f"{names.root}.>",
        f"$KV.{names.bucket('leases')}.>",
        f"$KV.{names.bucket('settings')}.>",
        names.object_chunks(">"),
        names.object_meta(">"),
        f"{INBOX}.>",
    ]
    for stream in names.streams():
        publish += [
            *(
                f"{API}.STREAM.{verb}.{stream}"
                for verb in ("CREATE", "UPDATE", "DELETE", "PURGE", "SNAPSHOT")
            ),
            *(f"{API}.STREAM.{verb}.{stream}" for verb in ("RESTORE", "MSG.GET", "MSG.DELETE")),
            f"{API}.CONSUMER.*.{stream}",
            f"{API}.CONSUMER.*.{stream}.>",
            *_settle(stream, "*"),
            *(f"$JS.FC.{stream}.>", f"$JS.FC.*.*.{stream}.>"),
            # Where chunks of a stream that is restored go, and those of one that is saved are confirmed.
            f"$JS.SNAPSHOT.RESTORE.{stream}.>",
            f"$JS.SNAPSHOT.ACK.{stream}.>",
        ]
    return publish, [f"{names.root}.>"]
