"""Reads published scheduling instances, so that the scheduler can be measured against known optima.

PSPLIB (``.sm``), Patterson (``.rcp``), MPLIB (``.rcmp``), standard task graphs
(``.stg``), job shops in the form of Taillard's (``.jsp``, ``.txt``), and sets
of jobs with due dates for one machine as OR-Library has them (``.wt``,
``.txt``; ``wt40.txt#3`` is the third set of that file). One unit of time
becomes a second, each resource of the instance a custom resource, each job or
operation a ``sleep`` task. A release date becomes a ``wait`` in front of the
project.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from msgspec import Struct

from talka_core.builder import WorkflowBuilder
from talka_core.limits import SECONDS_MAX, TASKS_MAX
from talka_protocols.errors import WorkflowInvalidError
from talka_protocols.workflow import ResourceRequirements, Strategy, Task, Workflow

BYTES_MAX = 16 * 1024 * 1024
COUNT_MAX = 100_000
LINE_BYTES_MAX = 10_000
MACHINE = "machine"
_NAMED_COUNT = re.compile(r"wt(\d{1,4})")
_DUE_MAX = 100_000_000
TEXT = ".txt"
"""A suffix that says nothing: it may be a Talka file as well."""


class Instance(Struct, frozen=True):
    """A published instance: its workflow, and what its one worker has; empty where that is left open."""

    workflow: Workflow
    capacity: dict[str, float]


class _Numbers:
    """The whole numbers of a text, one after the other, each with its line for errors."""

    def __init__(self, file: str, text: str) -> None:
        lines = [line.split("#")[0].replace(":", " : ") for line in text.splitlines()]
        self._words = [(word, number) for number, line in enumerate(lines, 1) for word in line.split()]
        self._file = file
        self._at = 0

    def skip_to(self, heading: str, lines: int = 0) -> None:
        """Go to the first word that stands more than so many lines below the next line with this word."""
        found = next((n for word, n in self._words[self._at :] if word == heading), None)
        if found is None:
            self.refuse(f"There is no {heading!r} where it is expected.")
        self._at = next((at for at, (_, n) in enumerate(self._words) if n > found + lines), len(self._words))

    def skip_behind(self, word: str) -> None:
        """Go behind the next such word."""
        at = next((at for at in range(self._at, len(self._words)) if self._words[at][0] == word), None)
        if at is None:
            self.refuse(f"There is no {word!r} where it is expected.")
        self._at = at + 1

    def next(self, most: int = COUNT_MAX) -> int:
        """Return the next number, which must lie between 0 and ``most``."""
        word = self._words[self._at][0] if self._at < len(self._words) else ""
        if not word.isascii() or not word.isdigit() or len(word) > 9 or int(word) > most:
            self.refuse(f"A whole number from 0 to {most} is expected, not {word or 'the end'!r}.")
        self._at += 1
        return int(word)

    def count_on_first_line(self) -> int:
        """Return how many words the first line has."""
        return sum(number == self._words[0][1] for _, number in self._words) if self._words else 0

    @property
    def is_at_end(self) -> bool:
        """Tell whether all has been read."""
        return self._at >= len(self._words)

    def pair(self) -> tuple[int, int]:
        """Return two numbers with a colon between them."""
        first = self.next()
        if self._at >= len(self._words) or self._words[self._at][0] != ":":
            self.refuse("A successor of the form PROJECT:TASK is expected.")
        self._at += 1
        return first, self.next()

    def refuse(self, sentence: str) -> NoReturn:
        """Refuse the file at the present place."""
        line = self._words[min(self._at, len(self._words) - 1)][1] if self._words else 1
        raise WorkflowInvalidError(
            sentence,
            hint="Compare it with the format that its suffix says.",
            code="bad_instance",
            file=self._file,
            line=line,
        )


class _Collector:
    """Collects tasks and edges, and builds the workflow from them."""

    def __init__(self, file: str, numbers: _Numbers) -> None:
        self._builder = WorkflowBuilder(Path(file).stem)
        self._numbers = numbers
        self._edges: list[tuple[str, str]] = []
        self._ids: set[str] = set()

    def task(
        self, task_id: str, seconds: int, needs: Mapping[str, int] | None = None, cores: int = 0
    ) -> None:
        """Add a task; amounts of 0 are left out."""
        custom = {name: float(amount) for name, amount in (needs or {}).items() if amount}
        resources = ResourceRequirements(cpu_cores=float(cores), custom_resources=custom)
        self._add(Task(task_id, "sleep", payload={"seconds": seconds}, resources=resources))

    def job(self, task_id: str, seconds: int, weight: int, due: int) -> None:
        """Add a task for the one machine that is due at some time."""
        resources = ResourceRequirements(custom_resources={MACHINE: 1.0})
        payload = {"seconds": seconds}
        self._add(
            Task(
                task_id,
                "sleep",
                payload=payload,
                resources=resources,
                deadline=float(due),
                weight=float(weight),
            )
        )

    def wait(self, task_id: str, seconds: int) -> None:
        """Add a task that only waits, and holds nothing."""
        self._add(Task(task_id, "wait", payload={"seconds": seconds}))

    def _add(self, task: Task) -> None:
        self._ids.add(task.id)
        self._builder.add_task(task)

    def edge(self, before: str, after: str) -> None:
        """Let one task wait for another; both may be added later."""
        self._edges.append((before, after))

    def built(
        self, capacity: Mapping[str, int], strategy: Strategy = Strategy.RESOURCE_OPTIMIZED
    ) -> Instance:
        """Return the instance."""
        for before, after in self._edges:
            if not {before, after} <= self._ids:
                self._numbers.refuse(f"Task {after} follows task {before}, and one of them is not there.")
            self._builder.add_dependency(before, after)
        self._builder.set_limits(max_tasks=TASKS_MAX, max_seconds=SECONDS_MAX)
        self._builder.set_strategy(strategy)
        workflow = self._builder.build()
        return Instance(workflow, {name: float(amount) for name, amount in capacity.items()})


def is_instance(file: str) -> bool:
    """Tell by its suffix whether a file is an instance; a text is one if it begins with some numbers."""
    path, _ = _place_of(file)
    suffix = Path(path).suffix.lower()
    return suffix in _READERS and (suffix != TEXT or _begins_with_numbers(path) >= 2)


def _begins_with_numbers(file: str) -> int:
    """Return how many numbers the first line has, 0 if it has anything else."""
    try:
        with Path(file).open("rb") as stream:
            first = stream.readline(LINE_BYTES_MAX).split()
    except OSError:
        # Whoever reads it next says what is wrong with it.
        return 0
    return len(first) if all(word.isdigit() for word in first) else 0


def _place_of(file: str) -> tuple[str, int | None]:
    """Return the path, and the number of the set in it where one is named."""
    path, separator, number = file.rpartition("#")
    is_named = separator and number.isascii() and number.isdigit() and not Path(file).exists()
    return (path, int(number)) if is_named else (file, None)


def instances_in(file: str) -> list[str]:
    """Return the name of each instance in a file, which is the file's own unless it has several sets.

    Raises:
        WorkflowInvalidError: It cannot be read or is malformed (``bad_instance``), with the line.
    """
    path, number = _place_of(file)
    if number is not None or not is_instance(file) or _reader_of(path) is not _due_dates:
        return [file]
    return [f"{file}#{each}" for each in range(1, _Sets(path, _read(path)).count + 1)]


def read_instance(file: str) -> Instance:
    """Read a published instance; of a file with several sets ``FILE#N`` is the Nth.

    Raises:
        WorkflowInvalidError: It cannot be read or is malformed (``bad_instance``), with the line.
    """
    path, number = _place_of(file)
    reader = _reader_of(path)
    if number is not None and reader is _due_dates:
        return _Sets(path, _read(path)).built(number)
    return reader(file, _read(file))


def _reader_of(path: str) -> Callable[[str, _Numbers], Instance]:
    suffix = Path(path).suffix.lower()
    is_named = _NAMED_COUNT.match(Path(path).stem) is not None
    is_set = suffix == TEXT and (is_named or _begins_with_numbers(path) > 2)
    return _due_dates if is_set else _READERS[suffix]


def _read(file: str) -> _Numbers:
    try:
        with Path(file).open("rb") as stream:
            content = stream.read(BYTES_MAX + 1)
        text = content.decode("utf-8", "replace")
    except OSError as error:
        raise WorkflowInvalidError(
            f"It cannot be read: {error.strerror}.", hint="Check name and permissions.", file=file
        ) from error
    numbers = _Numbers(file, text)
    if len(content) > BYTES_MAX:
        numbers.refuse(f"It is larger than {BYTES_MAX} bytes.")
    return numbers


def _names(count: int) -> list[str]:
    return [f"r{number}" for number in range(1, count + 1)]


def _psplib(file: str, numbers: _Numbers) -> Instance:
    collector = _Collector(file, numbers)
    for heading in ("jobs", ":"):
        numbers.skip_behind(heading)
    jobs = numbers.next()
    for heading in ("RESOURCES", ":"):
        numbers.skip_behind(heading)
    names = _names(numbers.next())
    numbers.skip_to("PRECEDENCE", 1)
    for _ in range(jobs):
        job, _, count = numbers.next(), numbers.next(), numbers.next()
        for _ in range(count):
            collector.edge(str(job), str(numbers.next()))
    numbers.skip_to("REQUESTS/DURATIONS", 2)
    for _ in range(jobs):
        job, _, seconds = numbers.next(), numbers.next(), numbers.next()
        collector.task(str(job), seconds, {name: numbers.next() for name in names})
    numbers.skip_to("RESOURCEAVAILABILITIES", 1)
    return collector.built({name: numbers.next() for name in names})


def _patterson(file: str, numbers: _Numbers) -> Instance:
    collector = _Collector(file, numbers)
    jobs, names = numbers.next(), _names(numbers.next())
    capacity = {name: numbers.next() for name in names}
    for job in range(1, jobs + 1):
        collector.task(str(job), numbers.next(), {name: numbers.next() for name in names})
        for _ in range(numbers.next()):
            collector.edge(str(job), str(numbers.next()))
    return collector.built(capacity)


def _mplib(file: str, numbers: _Numbers) -> Instance:
    collector = _Collector(file, numbers)
    projects, names = numbers.next(), _names(numbers.next())
    capacity = {name: numbers.next() for name in names}
    for project in range(1, projects + 1):
        jobs, release = numbers.next(), numbers.next()
        _ = [numbers.next() for _ in names]
        for job in range(1, jobs + 1):
            collector.task(f"{project}.{job}", numbers.next(), {name: numbers.next() for name in names})
            for _ in range(numbers.next()):
                collector.edge(f"{project}.{job}", "{}.{}".format(*numbers.pair()))
        if release:
            collector.wait(f"{project}.release", release)
            collector.edge(f"{project}.release", f"{project}.1")
    return collector.built(capacity)


def _task_graph(file: str, numbers: _Numbers) -> Instance:
    collector = _Collector(file, numbers)
    for _ in range(numbers.next() + 2):
        task, seconds = numbers.next(), numbers.next()
        collector.task(str(task), seconds, cores=1 if seconds else 0)
        for _ in range(numbers.next()):
            collector.edge(str(numbers.next()), str(task))
    return collector.built({})


def _job_shop(file: str, numbers: _Numbers) -> Instance:
    collector = _Collector(file, numbers)
    jobs, machines = numbers.next(), numbers.next()
    for job in range(1, jobs + 1):
        for step in range(1, machines + 1):
            machine, seconds = numbers.next(), numbers.next()
            collector.task(f"{job}.{step}", seconds, {f"m{machine}": 1})
            if step > 1:
                collector.edge(f"{job}.{step - 1}", f"{job}.{step}")
    return collector.built({f"m{machine}": 1 for machine in range(machines)})


class _Sets:
    """Sets of jobs with run times, weights and due dates: so many numbers of each, one set after the other.

    How many jobs a set has says the name of the file (``wt40``), else its first line.
    """

    def __init__(self, file: str, numbers: _Numbers) -> None:
        named = _NAMED_COUNT.match(Path(file).stem)
        self._jobs = max(1, int(named[1]) if named else numbers.count_on_first_line())
        self._file, self._numbers = file, numbers
        self._read: list[list[int]] = []
        while not numbers.is_at_end:
            self._read.append([numbers.next(_DUE_MAX) for _ in range(3 * self._jobs)])
        self.count = len(self._read)

    def built(self, number: int) -> Instance:
        """Return one of the sets, counted from 1."""
        if not 1 <= number <= self.count:
            self._numbers.refuse(f"There is no set {number}: it has {self.count}.")
        values, jobs = self._read[number - 1], self._jobs
        collector = _Collector(f"{Path(self._file).stem}-{number}", self._numbers)
        for job in range(jobs):
            seconds, weight, due = values[job], values[jobs + job], values[2 * jobs + job]
            collector.job(str(job + 1), seconds, weight, due)
        return collector.built({MACHINE: 1}, Strategy.DEADLINE)


def _due_dates(file: str, numbers: _Numbers) -> Instance:
    sets = _Sets(file, numbers)
    if sets.count != 1:
        numbers.refuse(f"It has {sets.count} sets. Name one of them, such as {file}#1.")
    return sets.built(1)


_READERS: dict[str, Callable[[str, _Numbers], Instance]] = {
    ".sm": _psplib,
    ".rcp": _patterson,
    ".rcmp": _mplib,
    ".stg": _task_graph,
    ".jsp": _job_shop,
    ".wt": _due_dates,
    TEXT: _job_shop,
}
