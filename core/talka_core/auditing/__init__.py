"""The auditor: holds recorded histories against what an allocation may be, by a book of its own.

It shares no code with the actors that write the histories, so that it cannot
repeat their mistakes; and it knows only what is live, however long they are.
"""

from talka_core.auditing.auditor import Auditor, Summary
from talka_core.auditing.chains import Anchor, Anchors, Chains, Verdict
from talka_core.auditing.violations import Kind, Violation, Where

__all__ = [
    "Anchor",
    "Anchors",
    "Auditor",
    "Chains",
    "Kind",
    "Summary",
    "Verdict",
    "Violation",
    "Where",
]
