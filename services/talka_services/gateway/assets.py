"""The web page: its built files, as they lie in the package, and its addresses.

Names of files in ``assets/`` hold a hash of their content, so they are kept for good;
``index.html`` is asked for again each time, and answered with 304 while it is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

FOLDER = Path(__file__).parent / "page"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
VIEWS = ("/", "/pools", "/alerts", "/executions/{execution_id}", "/executions/{execution_id}/{tab}")
"""Addresses that the page itself understands; the path is not decoded, so an id has no slash here."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Asset(Struct, frozen=True):
    """One file, ready to be sent."""

    body: bytes
    headers: Mapping[str, str]


def page_routes(folder: Path = FOLDER) -> list[BaseRoute]:
    """Return the routes of the page; its files are read once."""
    found = [
        Route(f"/{path.relative_to(folder).as_posix()}", _sender(_asset(path, is_hashed=True)))
        for path in sorted((folder / "assets").iterdir())
    ]
    index = _sender(_asset(folder / "index.html", is_hashed=False))
    return [*found, *(Route(view, index) for view in VIEWS)]


def _asset(path: Path, *, is_hashed: bool) -> Asset:
    body = path.read_bytes()
    headers = {
        "Content-Type": TYPES[path.suffix],
        "Content-Security-Policy": POLICY,
        "Cache-Control": "public, max-age=31536000, immutable" if is_hashed else "no-cache",
        "ETag": f'"{hashlib.sha256(body).hexdigest()[:16]}"',
    }
    return Asset(body, headers)


def _sender(asset: Asset) -> Callable[[Request], Awaitable[Response]]:
    async def send(request: Request) -> Response:
        if request.headers.get("if-none-match") == asset.headers["ETag"]:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=dict(asset.headers))
        return Response(asset.body, headers=dict(asset.headers))

    return send
