"""Checks the ScaledObjects in a YAML file against KEDA's models: python keda.py FILE.

The models take fields that they do not define, without a word; those are named here.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import yaml


def unknown(model: Any, place: str) -> Iterator[str]:
    """Yield the fields that a model was given and does not define, at any depth."""
    if isinstance(model, list):
        for index, each in enumerate(cast("Iterable[Any]", model)):
            yield from unknown(each, f"{place}[{index}]")
    elif hasattr(model, "model_extra"):
        yield from (f"{place}.{name}" for name in model.model_extra or ())
        fields: list[str] = list(model.__class__.model_fields)
        for field in fields:
            yield from unknown(getattr(model, field), f"{place}.{field}")


def main(file: Path) -> int:
    """Return 0 if every ScaledObject of the file is as KEDA wants it."""
    models: Any = importlib.import_module("cloudcoil.models.keda.v1alpha1")
    documents = [each for each in yaml.safe_load_all(file.read_text(encoding="utf-8")) if each]
    checked = [
        models.ScaledObject.model_validate(each) for each in documents if each["kind"] == "ScaledObject"
    ]
    found = [name for each in checked for name in unknown(each, each.metadata.name)]
    sys.stdout.write(f"{len(checked)} checked, unknown fields: {', '.join(found) or 'none'}\n")
    return 1 if found or not checked else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
