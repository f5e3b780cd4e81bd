"""How one page of an API leads to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urljoin

import httpx


class Paging(Protocol):
    """A frozen value that makes the first request and those after it."""

    def first(self, request: httpx.Request) -> httpx.Request:
        """The request of the first page."""
        ...

    def following(self, request: httpx.Request, answer: httpx.Response, count: int) -> httpx.Request | None:
        """The request after `request`, whose answer held `count` records; ``None`` after the last page."""
        ...


@dataclass(frozen=True, slots=True)
class SinglePage:
    """There is one page."""

    def first(self, request: httpx.Request) -> httpx.Request:
        """The request as it is."""
        return request

    def following(self, request: httpx.Request, answer: httpx.Response, count: int) -> httpx.Request | None:
        """None."""
        return None


@dataclass(frozen=True, slots=True)
class PageNumber:
    """``?page=1``, ``?page=2``, ... until a page is empty, or shorter than `size`.

    Attributes:
        param: Parameter with the page's number.
        start: Number of the first page.
        size: Records of a full page, sent as `size_param`; ``None``: the API's own.
        size_param: Parameter with the size.
    """

    param: str = "page"
    start: int = 1
    size: int | None = None
    size_param: str = "per_page"

    def first(self, request: httpx.Request) -> httpx.Request:
        """Page `start`."""
        return _with(request, {self.param: self.start} | ({} if self.size is None else {self.size_param: self.size}))

    def following(self, request: httpx.Request, answer: httpx.Response, count: int) -> httpx.Request | None:
        """The next number."""
        if count == 0 or (self.size is not None and count < self.size):
            return None
        return _with(request, {self.param: int(request.url.params[self.param]) + 1})


@dataclass(frozen=True, slots=True)
class Offset:
    """``?offset=0&limit=100``, ``?offset=100&limit=100``, ... until a page is short."""

    limit: int = 100
    param: str = "offset"
    limit_param: str = "limit"

    def first(self, request: httpx.Request) -> httpx.Request:
        """Offset 0."""
        return _with(request, {self.param: 0, self.limit_param: self.limit})

    def following(self, request: httpx.Request, answer: httpx.Response, count: int) -> httpx.Request | None:
        """The offset after the records of this page."""
        if count < self.limit:
            return None
        return _with(request, {self.param: int(request.url.params[self.param]) + count})


@dataclass(frozen=True, slots=True)
class PageToken:
    """Each answer holds, at the dotted path `token`, what parameter `param` of the next request gets; null ends."""

    token: str = "next_page_token"
    param: str = "page_token"

    def first(self, request: httpx.Request) -> httpx.Request:
        """Without a token."""
        return request

    def following(self, request: httpx.Request, answer: httpx.Response, count: int) -> httpx.Request | None:
        """With the answer's token."""
        token = _find(answer, self.token)
        return None if token in (None, "", False) else _with(request, {self.param: token})


@dataclass(frozen=True, slots=True)
class NextLink:
    """Each answer holds, at the dotted path `link`, the address of the next page; null ends."""

    link: str = "next"

    def first(self, request: httpx.Request) -> httpx.Request:
        """The request as it is."""
        return request

    def following(self, request: httpx.Request, answer: httpx.Response, count: int) -> httpx.Request | None:
        """The answer's link."""
        link = _find(answer, self.link)
        return httpx.Request("GET", urljoin(str(request.url), str(link))) if link else None


@dataclass(frozen=True, slots=True)
class LinkHeader:
    """Each answer names the next page in its header ``Link: <...>; rel="next"`` (RFC 8288)."""

    def first(self, request: httpx.Request) -> httpx.Request:
        """The request as it is."""
        return request

    def following(self, request: httpx.Request, answer: httpx.Response, count: int) -> httpx.Request | None:
        """The header's link."""
        link = answer.links.get("next", {}).get("url")
        return httpx.Request("GET", urljoin(str(request.url), link)) if link else None


def _with(request: httpx.Request, params: dict[str, Any]) -> httpx.Request:
    return httpx.Request(request.method, request.url.copy_merge_params(params))


def _find(answer: httpx.Response, path: str) -> Any:
    value = answer.json()
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
