"""The JSON Schema of the Talka file, for editors and other tools.

``python -m talka_services.formats.schema > docs/workflow.schema.json``
publishes it; a test fails when the published one is out of date.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec

from talka_services.formats.document import WorkflowFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def workflow_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a Talka workflow file."""
    schema = msgspec.json.schema(WorkflowFile)
    return {"$schema": DIALECT, "title": "Talka workflow", **schema}


def schema_text() -> str:
    """Return the schema as the text of the published file."""
    return json.dumps(workflow_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
