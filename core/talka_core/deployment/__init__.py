"""What is to be set up around the services, derived from what they do."""

from talka_core.deployment.nats_users import Account, Member, configuration, described

__all__ = ["Account", "Member", "configuration", "described"]
