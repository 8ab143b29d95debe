"""Names of subjects, streams and buckets; nothing else spells them out.

Execution ids, pool names and worker ids are single NATS tokens: letters,
digits, ``-`` and ``_``. Task ids never occur in a subject.
"""

from __future__ import annotations

import hashlib
import re

from msgspec import Struct

from talka_protocols.errors import WildcardError

TOKEN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$")
_NO_NAME = re.compile(r"[*> \t\r\n\f]|^\.|\.\.|\.$")

EXECUTION = "execution"
PLAN = "plan"
POOL = "pool"
WORKER = "worker"
SHARD = "shard"
SCHEDULE = "schedule"
TRIGGER = "trigger"
BASE = "base"
ALERT = "alert"

STREAMS = ("log", "snapshot", "inbox", "request", "events", "dead", "tasklog")
"""The streams of a namespace besides its buckets."""


WORKER_CONSUMERS = 4
"""Enough that an acknowledgement meant for one is never so late that its name is in use again."""


def is_token(text: str) -> bool:
    """Tell whether the text can stand as one token of a subject."""
    return TOKEN.match(text) is not None


def is_name(text: str) -> bool:
    """Tell whether a subject with the text in it names one thing: it may end too soon, or mean many."""
    return _NO_NAME.search(text) is None


def shard_of(execution_id: str, shards: int) -> str:
    """Return the shard (``"0"`` to ``shards - 1``) that an execution belongs to, for ever."""
    digest = hashlib.blake2b(execution_id.encode(), digest_size=8).digest()
    return str(int.from_bytes(digest, "big") % shards)


def _one(key: str) -> str:
    """Return a key that names one thing: whatever somebody asks for, nobody is shown what is another's."""
    if not is_name(key):
        raise WildcardError(key)
    return key


class LogName(Struct, frozen=True, array_like=True):
    """Names one log: its kind, its shard (``-`` where the kind has none) and its key."""

    kind: str
    shard: str
    key: str

    def __str__(self) -> str:
        return f"{self.kind}.{self.key}"


ALERTS = LogName(ALERT, "-", "alerts")
"""The one log of alerts of a namespace."""


class Names(Struct, frozen=True):
    """Every name of one namespace."""

    namespace: str = "default"

    @property
    def root(self) -> str:
        """Return the prefix of all subjects."""
        return f"talka.{self.namespace}"

    def log(self, log: LogName) -> str:
        """Return the subject that holds a log's commits.

        Raises:
            WildcardError: the key would stand for many.
        """
        return f"{self.root}.log.{log.kind}.{log.shard}.{_one(log.key)}"

    def log_name(self, subject: str) -> LogName:
        """Return the log that a commit's subject belongs to."""
        kind, shard, key = subject.removeprefix(f"{self.root}.log.").split(".", 2)
        return LogName(kind, shard, key)

    def logs(self, kind: str, shard: str | None = None) -> str:
        """Return the wildcard over all logs of a kind."""
        return f"{self.root}.log.{kind}.{shard or '*'}.>"

    def snapshot(self, log: LogName) -> str:
        """Return the subject of a log's snapshots.

        Raises:
            WildcardError: the key would stand for many.
        """
        return f"{self.root}.snapshot.{log.kind}.{log.shard}.{_one(log.key)}"

    def snapshots(self, kind: str) -> str:
        """Return the wildcard over all snapshots of a kind."""
        return f"{self.root}.snapshot.{kind}.*.*"

    def inbox(self, kind: str, address: str) -> str:
        """Return the inbox that actors write to; it may live in memory. What travels is `spoken` in it."""
        return f"{self.root}.inbox.{kind}.{address}"

    def spoken(self, subject: str, speaker: str) -> str:
        """Return the subject of a letter to an inbox, which says who speaks: ``worker.w1``, ``client``."""
        return f"{subject}.{speaker}"

    def worker_consumers(self, worker_id: str) -> tuple[str, ...]:
        """Return the names that a worker gives the consumers of its inbox, one after the other.

        They are few and known, so that a worker can be allowed its own and nobody else's.
        """
        return tuple(f"{WORKER}_{worker_id}={turn}" for turn in range(WORKER_CONSUMERS))

    def requests(self, kind: str, address: str) -> str:
        """Return the subject that clients write to; it is on file until recorded."""
        return f"{self.root}.request.{kind}.{address}"

    def alarm(self, kind: str, key: str) -> str:
        """Return the subject that holds the alarm of a key; it rings in the stream of requests."""
        return self.requests("alarm", f"{kind}.{key}")

    def event(self, kind: str) -> str:
        """Return the subject of outside events of a type, which anybody may publish to."""
        return f"{self.root}.events.{kind}"

    def event_type(self, subject: str) -> str:
        """Return the type of the events on a subject."""
        return subject.removeprefix(f"{self.root}.events.")

    def tasklog(self, execution_id: str) -> str:
        """Return the subject of what an execution's tasks print.

        Raises:
            WildcardError: the id would stand for many.
        """
        return f"{self.root}.tasklog.{_one(execution_id)}"

    def tasklogs(self) -> str:
        """Return the wildcard over what all tasks print."""
        return f"{self.root}.tasklog.*"

    def dead_letter(self, kind: str, address: str) -> str:
        """Return the subject for messages that crash their actor every time."""
        return f"{self.root}.dead.{kind}.{address}"

    def live(self, what: str, key: str) -> str:
        """Return a core subject for what is not stored: heartbeats, progress."""
        return f"{self.root}.live.{what}.{key}"

    def heartbeat(self, pool: str, who: str) -> str:
        """Return the core subject on which a worker or a client tells a pool that it lives."""
        return self.live("heartbeat", f"{pool}.{who}")

    def owners(self, kind: str) -> str:
        """Return the core subject on which services of a kind tell each other that they are there."""
        return self.live("owners", kind)

    def answers(self, client_id: str) -> str:
        """Return the core subject for answers to a client, which asks again if one is lost."""
        return self.live("answer", client_id)

    def is_live(self, subject: str) -> bool:
        """Tell whether nothing stores what is written to the subject."""
        return subject.startswith(f"{self.root}.live.")

    def stream(self, what: str) -> str:
        """Return the name of the stream of these subjects: ``log``, ``inbox``, ``tasklog``, ``dead``, ..."""
        return f"talka_{self.namespace}_{what}"

    def streams(self) -> tuple[str, ...]:
        """Return the names of all streams, those of buckets included."""
        plain = tuple(map(self.stream, STREAMS))
        return (*plain, self.kv_stream("leases"), self.kv_stream("settings"), self.objects_stream())

    def kv_stream(self, what: str) -> str:
        """Return the name of the stream of a bucket of keys and values."""
        return f"KV_{self.bucket(what)}"

    def objects_stream(self) -> str:
        """Return the name of the stream of the object store."""
        return f"OBJ_{self.bucket('objects')}"

    def setting(self, key: str) -> str:
        """Return the subject of a setting of the namespace."""
        return f"$KV.{self.bucket('settings')}.{key}"

    def lease(self, name: str) -> str:
        """Return the subject of who holds a lease."""
        return f"$KV.{self.bucket('leases')}.lease.{name}"

    def epoch(self, name: str) -> str:
        """Return the subject of the last epoch of a lease, which outlives the lease."""
        return f"$KV.{self.bucket('leases')}.epoch.{name}"

    def object_chunks(self, nuid: str) -> str:
        """Return the subject of the content of a stored object."""
        return f"$O.{self.bucket('objects')}.C.{nuid}"

    def object_meta(self, encoded: str) -> str:
        """Return the subject of what is known of a stored object; its name is in base64."""
        return f"$O.{self.bucket('objects')}.M.{encoded}"

    def bucket(self, what: str) -> str:
        """Return a bucket's name: ``leases``, ``settings`` or ``objects``."""
        return f"talka_{self.namespace}_{what}"
