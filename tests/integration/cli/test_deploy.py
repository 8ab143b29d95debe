"""What `talka deploy` prints: keys in files of their own, and the users of a server."""

from __future__ import annotations

from tests.integration.cli.shell import Shell


def test_keys_and_permissions_fit_together(shell: Shell) -> None:
    """Each key that was made is that of a user, and nobody else is one."""
    made = shell.json("deploy", "nats-keys", "keys", "--worker", "w1")
    said = shell.run("deploy", "nats-permissions", "--keys", "keys", "--worker", "w1")
    assert all(key["nkey"] in said for key in made)
    (account,) = shell.json("deploy", "nats-permissions", "--keys", "keys", "--worker", "w1")
    assert {user["name"] for user in account["users"]} == {key["name"] for key in made}
    error = shell.json("deploy", "nats-permissions", "--service", "nobody", code=2)["error"]
    assert error["code"] == "usage"
