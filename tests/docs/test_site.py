"""The references of the documentation site leave nothing out, and its pages suit the generator."""

from __future__ import annotations

import runpy

import typer
from docs.site.commands import commands_page
from docs.site.modules import python_page
from docs.site.operations import operations_page, shown
from tests.docs.test_documentation import DOCS

import talka
from talka_services.cli.main import app
from talka_services.gateway.openapi import document

HOOKS = runpy.run_path(str(DOCS / "site" / "hooks.py"))


def test_every_command_has_a_section() -> None:
    """Each command of the top level heads one, or its sub-commands do."""
    page = commands_page()
    for name in typer.main.get_command(app).commands:  # type: ignore[attr-defined]
        assert f"\n## talka {name}" in page


def test_every_operation_and_type_of_the_openapi_document_is_described() -> None:
    """Each operation has a heading, and each type an anchor that links lead to."""
    described = document()
    page = operations_page(described)
    for path, methods in described["paths"].items():
        for method in methods:
            assert f"\n### {method.upper()} {path}\n" in page
    assert page.count('<a id="type-') == len(described["components"]["schemas"])


def test_a_schema_is_told_in_words() -> None:
    """Types are linked, and bounds are said."""
    assert shown({"anyOf": [{"$ref": "#/components/schemas/a.Kind"}, {"type": "null"}]}) == (
        "[Kind](#type-a-kind) or null"
    )
    assert shown({"type": "array", "items": {"type": "integer", "minimum": 1}}) == "list of integer (≥ 1)"


def test_every_public_name_is_on_the_page_of_the_python_interface() -> None:
    """Whatever ``import talka`` gives has a link to where it is described."""
    page = python_page()
    assert [name for name in talka.__all__ if f"`talka.{name}`" not in page] == []


def test_marks_for_the_tests_are_not_shown() -> None:
    """A file's name becomes a title, and a state diagram a table."""
    translated = HOOKS["translated"]
    assert translated("```yaml file=a.yaml\nx\n```\n```bash run\ny\n```\n") == (
        '```yaml title="a.yaml"\nx\n```\n```bash\ny\n```\n'
    )
    diagram = "```mermaid\nstateDiagram-v2\n    [*] --> ready\n    ready --> done\n    done --> [*]\n```\n"
    assert "| `ready` | `done` |\n| `done` | the end |" in translated(diagram)
