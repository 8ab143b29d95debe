"""What is checked of a server by itself: its version, health, clock, syncing and room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from talka_core.checkup.facts import Finding, Level, NodeFacts, Skew, StorageFacts

OLDEST_SERVER = (2, 12)
SKEW_WARNING_MS = 1_000.0
SKEW_ERROR_MS = 30_000.0
FULL_WARNING = 0.8
FULL_ERROR = 0.95
MIB = 2**20
FREE_WARNING = 2_048 * MIB
FREE_ERROR = 256 * MIB


def version(server: str, found: tuple[int, int]) -> Iterator[Finding]:
    """Check that a server is not too old."""
    shown = _shown(found)
    if found < OLDEST_SERVER:
        said = f"It is version {shown}; Talka needs {_shown(OLDEST_SERVER)} or later."
        yield Finding("version", Level.ERROR, server, said, "Upgrade nats-server.")
    else:
        yield Finding("version", Level.OK, server, f"It is version {shown}.")


def versions(nodes: Sequence[NodeFacts]) -> Iterator[Finding]:
    """Check that servers that store together are of one version."""
    if len({node.version for node in nodes}) > 1:
        said = ", ".join(f"{node.name} is {_shown(node.version)}" for node in nodes)
        names = ", ".join(node.name for node in nodes)
        advice = "Finish the upgrade: a stream may use nothing that one of its servers does not know."
        yield Finding("version", Level.WARNING, names, f"They are of several versions: {said}.", advice)


def node(facts: NodeFacts) -> Iterator[Finding]:
    """Check one server by what it tells of itself."""
    yield from version(facts.name, facts.version)
    if facts.fault:
        advice = "Look at its log and its disk; once its disk has room and can be written to, start it again."
        yield Finding("health", Level.ERROR, facts.name, f"It is not healthy: {facts.fault}.", advice)
    else:
        yield Finding("health", Level.OK, facts.name, "It says that it is healthy.")
    yield from clock(facts.name, facts.skew)
    yield from syncing(facts.name, facts.is_synced)
    yield from storage(f"{facts.name} file", facts.file, whose="server")
    yield from storage(f"{facts.name} memory", facts.memory, whose="server")


def clock(server: str, skew: Skew) -> Iterator[Finding]:
    """Check that a server's clock and ours are the same, as far as that can be known."""
    ahead = abs(skew.ms) - skew.error_ms
    side = "ahead of" if skew.ms > 0 else "behind"
    exactness = f"give or take {skew.error_ms:,.0f} ms"
    said = f"Its clock is {abs(skew.ms):,.0f} ms {side} this machine's, {exactness}."
    advice = "Let both machines follow a time server (NTP); times in the log are off by as much."
    if ahead <= SKEW_WARNING_MS:
        yield Finding("clock", Level.OK, server, said)
    else:
        level = Level.ERROR if ahead > SKEW_ERROR_MS else Level.WARNING
        yield Finding("clock", level, server, said, advice)


def syncing(server: str, is_synced: bool | None) -> Iterator[Finding]:
    """Check that a server syncs before it acknowledges."""
    match is_synced:
        case True:
            yield Finding("sync", Level.OK, server, "It syncs each commit before it acknowledges it.")
        case False:
            said = "It acknowledges before it syncs: a loss of power takes back what was acknowledged."
            advice = "Set sync_interval: always in the jetstream block, on every server of a cluster."
            yield Finding("sync", Level.WARNING, server, said, advice)
        case None:
            said = "Whether it syncs before it acknowledges cannot be seen from here."
            advice = "Look for sync_interval: always in its configuration, or name its http port: --monitor."
            yield Finding("sync", Level.UNKNOWN, server, said, advice)


def disk(server: str, free: int | None) -> Iterator[Finding]:
    """Check that the disk where a server stores has room."""
    if free is None:
        said = "How much room it has, and whether it can write, cannot be seen from here."
        yield Finding("disk", Level.UNKNOWN, server, said, "Name its http port: --monitor.")
        return
    level = Level.ERROR if free < FREE_ERROR else Level.WARNING if free < FREE_WARNING else Level.OK
    advice = "" if level is Level.OK else "Make room: the server stops to record when its disk is full."
    yield Finding("disk", level, server, f"{shown_size(free)} are free where it stores.", advice)


def storage(kind: str, facts: StorageFacts, whose: str = "account") -> Iterator[Finding]:
    """Check what an account, or a server, may store in all against what it stores and has set aside."""
    if facts.limit <= 0:
        said = f"{shown_size(facts.used)} used; the {whose} has no limit of its own."
        yield Finding("storage", Level.OK, kind, said)
        return
    limit = shown_size(facts.limit)
    said = f"{shown_size(facts.used)} used and {shown_size(facts.reserved)} reserved of {limit}."
    setting = f"max_{kind.rpartition(' ')[2]}_store"
    advice = f"Raise {setting}, give the store a larger disk, or remove what is not needed."
    share = facts.used / facts.limit
    level = Level.ERROR if share > FULL_ERROR else Level.WARNING if share > FULL_WARNING else Level.OK
    if level is Level.OK and facts.reserved > FULL_ERROR * facts.limit:
        # What is set aside keeps nobody from writing, only from making another stream that is bounded.
        level = Level.WARNING
    yield Finding("storage", level, kind, said, "" if level is Level.OK else advice)


def shown_size(count: int) -> str:
    """Return a number of bytes for people."""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"


def _shown(found: tuple[int, int]) -> str:
    return ".".join(map(str, found))
