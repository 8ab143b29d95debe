"""Checks resources that Kubernetes itself does not know against their owners' models: python custom.py FILE.

The models leave out what they do not define, without a word, so what comes back is compared with what was
given.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import yaml

MODELS = {
    "ScaledObject": "cloudcoil.models.keda.v1alpha1",
    "PodMonitor": "cloudcoil.models.prometheus_operator.v1",
}


def lost(given: Any, kept: Any, place: str) -> Iterator[str]:
    """Yield where something was given that was not kept as it was, at any depth."""
    if isinstance(given, dict) and isinstance(kept, dict):
        known = cast("Mapping[str, Any]", kept)
        for name, value in cast("Mapping[str, Any]", given).items():
            yield from lost(value, known.get(name), f"{place}.{name}")
    elif isinstance(given, list) and isinstance(kept, list):
        pairs = zip(cast("Iterable[Any]", given), cast("Iterable[Any]", kept), strict=True)
        for index, (value, other) in enumerate(pairs):
            yield from lost(value, other, f"{place}[{index}]")
    elif given != kept:
        yield place


def main(file: Path) -> int:
    """Return 0 if every such resource of the file is as its owner wants it."""
    documents = [each for each in yaml.safe_load_all(file.read_text(encoding="utf-8")) if each]
    checked = [each for each in documents if each["kind"] in MODELS]
    found: list[str] = []
    for each in checked:
        models: Any = importlib.import_module(MODELS[each["kind"]])
        model = getattr(models, each["kind"]).model_validate(each)
        kept = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
        found += lost(each, kept, f"{each['kind']} {each['metadata']['name']}")
    sys.stdout.write(f"{len(checked)} checked, unknown: {', '.join(found) or 'nothing'}\n")
    return 1 if found or not checked else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
