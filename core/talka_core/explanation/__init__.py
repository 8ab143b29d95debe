"""Why a task does not run, read off the states of the actors that have to do with it."""

from talka_core.explanation.picture import Picture
from talka_core.explanation.reasons import explain

__all__ = ["Picture", "explain"]
