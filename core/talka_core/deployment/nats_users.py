"""The users of a NATS server as its configuration has them: one of each service in each namespace."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from talka_protocols.permissions import Rights, User, reply_prefix, rights_of
from talka_protocols.subjects import Names


class Member(Struct, frozen=True):
    """A user and its public key; without one the server takes it from its environment."""

    user: User
    nkey: str = ""


class Account(Struct, frozen=True):
    """The users of one namespace."""

    namespace: str
    members: tuple[Member, ...]

    @property
    def name(self) -> str:
        """Return the name of the account, where each namespace has one."""
        return Names(self.namespace).stream("account")

    def rights(self, member: Member) -> Rights:
        """Return what a user may do."""
        return rights_of(member.user, Names(self.namespace), reply_prefix(member.nkey))


def described(accounts: Iterable[Account]) -> list[dict[str, Any]]:
    """Return the users as plain data."""
    return [
        {
            "namespace": account.namespace,
            "account": account.name,
            "users": [
                {
                    "name": member.user.name,
                    "service": member.user.service.value,
                    "nkey": member.nkey or None,
                    "publish": list(account.rights(member).publish),
                    "subscribe": list(account.rights(member).subscribe),
                }
                for member in account.members
            ],
        }
        for account in accounts
    ]


def configuration(accounts: Sequence[Account], *, is_divided: bool) -> str:
    """Return what a server's configuration is to include.

    ``is_divided`` gives each namespace an account of its own: then not even the names of streams are
    seen from another one.
    """
    lines = ["# Made by `talka deploy nats-permissions`. Make it again with every new version of Talka.", ""]
    if is_divided:
        lines.append("accounts {")
        for account in accounts:
            lines += [f"  {account.name}: {{", "    jetstream: enabled", "    users: ["]
            lines += (f"    {line}" for line in _users(account))
            lines += ["    ]", "  }"]
        lines.append("}")
    else:
        lines += ["authorization {", "  users: ["]
        lines += (f"  {line}" for account in accounts for line in _users(account))
        lines += ["  ]", "}"]
    return "\n".join(lines) + "\n"


def _users(account: Account) -> Iterator[str]:
    for member in account.members:
        rights = account.rights(member)
        yield "  {"
        yield f"    # {member.user.name} of the namespace {account.namespace}"
        yield f"    nkey: {member.nkey or _variable(account, member)}"
        yield "    permissions: {"
        yield from _allowed("publish", rights.publish)
        yield from _allowed("subscribe", rights.subscribe)
        yield "    }"
        yield "  }"


def _allowed(what: str, subjects: Sequence[str]) -> Iterator[str]:
    yield f"      {what}: {{ allow: ["
    # What JSON writes between quotes, a configuration reads as it is.
    yield from (f"        {json.dumps(subject)}" for subject in subjects)
    yield "      ] }"


def _variable(account: Account, member: Member) -> str:
    text = f"TALKA_NKEY_{account.namespace}_{member.user.name}".upper()
    return "$" + text.replace("-", "_")
