"""The error tree: whose fault it is, what happened, where, and what to do.

    TalkaError
      CallerError                  you asked for something that cannot be
        WorkflowInvalidError         the definition is wrong (file, line, column)
        UnknownExecutionError        no execution has this id
        UnknownScheduleError         no schedule has this name
        ScheduleInvalidError         a schedule makes no sense, or would never start anything
        UnknownTriggerError          no trigger has this name
        TriggerInvalidError          a trigger makes no sense, or an expression of it does not compile
        EventInvalidError            what was to be published is no event
        RequestRefusedError          the execution could not do what was asked; its log says so
        ResourcesUnavailable         what was asked for is not free, or exists nowhere
        NotAllowedError              the worker was not told to allow this
        DataDirectoryError           the data directory is in use, read-only or too new
        KeyFileError                 a file of keys cannot be read, or makes no sense
      TaskError                    the task's own code failed
        UnknownSecretError           its worker has no secret of this name
        TaskFailedError              it raised, exited non-zero or returned nonsense
        TaskTimeoutError             it ran past its time-out
        TaskCrashedError             its process died
        MemoryExceededError          it held more memory than it asks for
        StaleAttemptError            another attempt has taken its place
      PlatformError                ours, or the world's; a retry may help
        ServerUnavailableError       no NATS server answers
          CredentialsRefusedError      it does not know us, or no longer
          TlsFailedError               it or we did not believe the other's certificate
        NotPermittedError            the server does not let our user do this
        ConflictError                another owner wrote to the log first
        BrokenHistoryError           a log cannot be folded
        UnknownKeyError              something is sealed with a key that is not here

Broken invariants are ``AssertionError``: never caught, the actor restarts from its log.
"""

from __future__ import annotations


class TalkaError(Exception):
    """Root of everything Talka raises on purpose; ``code`` is stable, the text is for people."""

    code = "talka"
    hint = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        if hint:
            self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class CallerError(TalkaError):
    """The caller can fix this."""

    code = "caller"


class WorkflowInvalidError(CallerError):
    """A definition that cannot run, with its place in the file where there is one."""

    code = "workflow_invalid"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        code: str = "",
        path: tuple[str | int, ...] = (),
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code or type(self).code
        self.path = path
        self.file = file
        self.line = line
        self.column = column

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return f"{place}: {super().__str__()}" if place else super().__str__()


class WildcardError(CallerError):
    """What should name one log would stand for many, or for none."""

    code = "wildcard"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} is no name: spaces end one, '*' and '>' stand for many, and dots stand between parts.",
            hint="Names have letters, digits, '-' and '_'.",
        )


class UnknownExecutionError(CallerError):
    """No log exists under this execution id."""

    code = "unknown_execution"

    def __init__(self, execution_id: str) -> None:
        super().__init__(
            f"There is no execution {execution_id!r} here.",
            hint="`talka list` shows those that exist; check --data-dir or --server.",
        )
        self.execution_id = execution_id


class UnknownScheduleError(CallerError):
    """No schedule exists under this name."""

    code = "unknown_schedule"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is no schedule {name!r} here.",
            hint="`talka schedule list` shows those that exist; check --data-dir or --server.",
        )
        self.name = name


class ScheduleInvalidError(CallerError):
    """A schedule that makes no sense, or would never start anything; nothing was stored."""

    code = "schedule_invalid"

    def __init__(self, message: str, *, code: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code or type(self).code


class UnknownTriggerError(CallerError):
    """No trigger exists under this name."""

    code = "unknown_trigger"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is no trigger {name!r} here.",
            hint="`talka trigger list` shows those that exist; check --data-dir or --server.",
        )
        self.name = name


class TriggerInvalidError(CallerError):
    """A trigger that makes no sense, or an expression that does not compile; nothing was stored."""

    code = "trigger_invalid"

    def __init__(self, message: str, *, code: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code or type(self).code


class EventInvalidError(CallerError):
    """What was published, or was to be, is no CloudEvent that can be taken up."""

    code = "event_invalid"

    def __init__(self, message: str, *, code: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code or type(self).code


class RequestRefusedError(CallerError):
    """An execution was asked for what it could not do; the refusal is an event of its log."""

    code = "request_refused"

    def __init__(self, message: str, *, code: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code or type(self).code


class ResourcesUnavailable(CallerError):  # noqa: N818  (the public interface names it so)
    """The resources asked for did not become free in time, or no worker can ever offer them."""

    code = "resources_unavailable"


class NotAllowedError(CallerError):
    """The worker was not told to allow this module, program or address."""

    code = "not_allowed"


class DataDirectoryError(CallerError):
    """The data directory cannot be used: held, read-only, or written by a newer version."""

    code = "data_directory"


class KeyFileError(CallerError):
    """A file of keys that cannot be read or written, holds no keys, or is open to others."""

    code = "bad_key_file"


class TaskError(TalkaError):
    """The task's own fault: recorded as its outcome, never the platform's failure."""

    code = "task"


class TaskFailedError(TaskError):
    """The task raised, exited non-zero, or returned what cannot be recorded; see ``TaskFailure``."""

    code = "task_failed"

    def __init__(self, message: str, *, hint: str = "", kinds: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.kinds = kinds


class TaskTimeoutError(TaskError):
    """The task ran longer than its time-out allows and was stopped."""

    code = "task_timeout"


class HeartbeatTimeoutError(TaskError):
    """The task gave no sign of life for longer than it may and was stopped."""

    code = "heartbeat_timeout"


class TaskCrashedError(TaskError):
    """The process that ran the task died."""

    code = "task_crashed"


class MemoryExceededError(TaskError):
    """The task's processes held more memory than it asks for and were killed."""

    code = "memory_exceeded"


class StaleAttemptError(TaskError):
    """The attempt is not wanted any more, so that what it saves is refused: it should end."""

    code = "stale_attempt"


class UnknownSecretError(TaskError):
    """The task refers to a secret that its worker does not have; nothing of the task ran."""

    code = "unknown_secret"


class PlatformError(TalkaError):
    """Ours or the world's; nothing recorded is lost, and a retry may help."""

    code = "platform"


class ServerUnavailableError(PlatformError):
    """No NATS server with JetStream answers at the address."""

    code = "server_unavailable"


class CredentialsRefusedError(ServerUnavailableError):
    """The NATS server does not know the user that we say we are."""

    code = "credentials_refused"


class TlsFailedError(ServerUnavailableError):
    """There is no TLS at the other end, or a certificate was not believed."""

    code = "tls_failed"


class NotPermittedError(PlatformError):
    """The NATS server knows us, and does not let our user do this."""

    code = "not_permitted"


class ConflictError(PlatformError):
    """An append named a version that is no longer the newest: another owner took over."""

    code = "conflict"


class BrokenHistoryError(PlatformError):
    """A log cannot be folded; it is set aside alone and everything else goes on."""

    code = "broken_history"


class UnknownKeyError(PlatformError):
    """Something that is stored is sealed with a key that this process was not given."""

    code = "unknown_key"

    def __init__(self, key_id: str, where: str) -> None:
        super().__init__(
            f"{where} is sealed with the key {key_id!r}, which is not among the keys here.",
            hint="Add the key to the file that TALKA_KEYS names: `talka keys list` shows those that it has.",
        )
        self.key_id = key_id
