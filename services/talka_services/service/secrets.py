"""A worker's secrets: from its environment, or from files such as those that Docker and Kubernetes mount.

They are read whenever a task asks, so that one that was changed takes effect without a restart.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from talka_core.secrets import NAME, RedactedStream, Redactor, secret_of
from talka_protocols.errors import UnknownSecretError
from talka_protocols.ports import Logbook
from talka_protocols.tasklogs import Channel

PREFIX = "TALKA_SECRET_"
DIRECTORY = "TALKA_SECRETS_DIR"
SECRET_BYTES_MAX = 64 * 1024


class Secrets:
    """Knows the values; ``directory`` is ``TALKA_SECRETS_DIR`` unless it is given."""

    def __init__(self, directory: str | None = None, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._directory = directory

    def value(self, name: str) -> str:
        """Return a secret: the variable ``TALKA_SECRET_NAME``, or the file ``NAME`` but its last line end.

        Raises:
            UnknownSecretError: there is none of this name, or it is no text of at most 64 KiB.
        """
        if NAME.fullmatch(name) is None:
            raise UnknownSecretError(f"{name!r} is no name of a secret.", hint="Correct the reference.")
        if (value := self._environment.get(f"{PREFIX}{name}")) is not None:
            return value
        directory = self._directory or self._environment.get(DIRECTORY, "")
        if not directory:
            raise self._unknown(name, "")
        try:
            with (Path(directory) / name).open("rb") as file:
                data = file.read(SECRET_BYTES_MAX + 1)
            text = data.decode()
        except FileNotFoundError:
            raise self._unknown(name, directory) from None
        except (OSError, UnicodeDecodeError) as error:
            raise UnknownSecretError(
                f"The secret {name!r} of this worker cannot be read: {type(error).__name__}.",
                hint=f"Look at the file {name} in {directory}.",
            ) from None
        if len(data) > SECRET_BYTES_MAX:
            raise UnknownSecretError(
                f"The secret {name!r} of this worker has more than {SECRET_BYTES_MAX} bytes.",
                hint="Give the task the file's path instead.",
            )
        return text.removesuffix("\n").removesuffix("\r")

    def _unknown(self, name: str, directory: str) -> UnknownSecretError:
        place = f"a file {name} in {directory}" if directory else f"{DIRECTORY} with a file {name}"
        return UnknownSecretError(
            f"This worker has no secret {name!r}.", hint=f"Give it the variable {PREFIX}{name}, or {place}."
        )


class Revealed:
    """The secrets that one attempt was given, for taking them out of whatever it leaves."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._values: dict[str, str] = {}
        self.redactor = Redactor(())

    @property
    def values(self) -> tuple[str, ...]:
        """Return the values."""
        return tuple(self._values.values())

    def resolving(
        self, value_of: Callable[[str], object], known: Mapping[str, object]
    ) -> Callable[[str], object]:
        """Return a function that gives references their values, secrets included."""

        def resolve(text: str) -> object:
            name = secret_of(text) if text not in known else None
            if name is None:
                return value_of(text)
            value = self._values[name] = self._secrets.value(name)
            self.redactor = Redactor(self.values)
            return value

        return resolve


class RedactedLogbook:
    """A logbook that masks secrets in what is written to it."""

    def __init__(self, inner: Logbook, redactor: Redactor) -> None:
        self._inner = inner
        self._redactor = redactor
        self._streams: dict[Channel, RedactedStream] = {}

    def write(self, channel: Channel, data: bytes) -> None:
        """Take the next bytes of a channel."""
        stream = self._streams.get(channel)
        if stream is None:
            stream = self._streams[channel] = RedactedStream(self._redactor)
        self._inner.write(channel, stream.feed(data))

    def miss(self, channel: Channel, count: int) -> None:
        """Note that bytes of a channel are missing."""
        self._inner.miss(channel, count)

    def close(self) -> None:
        """Write what was held back."""
        for channel, stream in self._streams.items():
            self._inner.write(channel, stream.close())
