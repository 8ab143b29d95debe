"""What the documentation site adds to the pages: references made from the code, and lists of what there is.

MkDocs calls the ``on_`` functions (see mkdocs.yml); `make docs` starts it so that it finds
the modules beside this one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from docs.site.commands import commands_page
from docs.site.modules import protocols_page, python_page
from docs.site.operations import operations_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from talka_services.gateway.openapi import openapi

DOCS = Path(__file__).parents[1]

FENCE = re.compile(r"^```(\w+) (?:file=(\S+)|run)$", re.MULTILINE)
MERMAID = re.compile(r"^```mermaid\nstateDiagram-v2\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NO_PAGE = {"](examples)": "](examples/index.md)"}
"""Links to folders, which a forge lists by itself."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add to the navigation what need not be listed by hand."""
    decisions = [f"decisions/{path.name}" for path in sorted((DOCS / "decisions").glob("*.md"))]
    listed = repr(config.nav)
    unlisted = [path.name for path in sorted(DOCS.glob("*.md")) if f"'{path.name}'" not in listed]
    more = [{"More": unlisted}] if unlisted else []
    config.nav = [*(config.nav or []), *more, {"Decisions": ["decisions/index.md", *decisions]}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the code."""
    for path, text in generated():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Say in the generator's way what stands in the pages in plain Markdown."""
    del page, config, files
    return translated(markdown)


def translated(markdown: str) -> str:
    """Return a page with its marks for the tests taken out, and links to folders leading to their lists."""
    for link, listed in NO_PAGE.items():
        markdown = markdown.replace(link, listed)
    markdown = MERMAID.sub(lambda found: transitions(found[1]), markdown)
    return FENCE.sub(lambda found: f"```{found[1]}" + (f' title="{found[2]}"' if found[2] else ""), markdown)


def transitions(diagram: str) -> str:
    """Return a state diagram as a table: the theme would load the program that draws it from elsewhere."""
    successors: dict[str, list[str]] = {}
    for line in diagram.splitlines():
        before, _, after = line.strip().partition(" --> ")
        successors.setdefault(before, []).append(after)
    rows = ["| from | to |", "|---|---|"]
    for state, following in successors.items():
        shown = ", ".join("the end" if each == "[*]" else f"`{each}`" for each in following)
        rows.append(f"| {'the beginning' if state == '[*]' else f'`{state}`'} | {shown} |")
    return "\n".join(rows)


def generated() -> Iterator[tuple[str, str]]:
    """Yield the path and text of every page that is made."""
    yield "reference/commands.md", commands_page()
    yield "reference/http.md", operations_page(json.loads(openapi()))
    yield "reference/openapi.json", openapi().decode()
    yield "reference/python.md", python_page()
    yield "reference/protocols.md", protocols_page()
    yield "decisions/index.md", decisions_page()
    yield "examples/index.md", examples_page()
    yield "changes.md", (DOCS.parent / "CHANGELOG.md").read_text(encoding="utf-8")


def decisions_page() -> str:
    """Return the list of all decisions by their titles."""
    rows = ["# Decisions", "", "Why Talka is built as it is: one choice a page, with what was measured.", ""]
    for path in sorted((DOCS / "decisions").glob("*.md")):
        title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        rows.append(f"- [{title}]({path.name})")
    return "\n".join(rows) + "\n"


def examples_page() -> str:
    """Return all examples with their text; tests run every one."""
    rows = ["# Examples", "", "Each runs as its first lines say, in a copy of the repository."]
    for path in sorted((DOCS / "examples").iterdir()):
        if path.suffix in {".yaml", ".py"}:
            language = {".yaml": "yaml", ".py": "python"}[path.suffix]
            text = path.read_text(encoding="utf-8").rstrip()
            rows += ["", f"## {path.name}", "", f"````{language}", text, "````"]
    return "\n".join(rows) + "\n"
