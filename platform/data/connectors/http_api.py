"""HTTP and REST APIs: pages of JSON records, read politely and from where the last read ended."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

import httpx
import orjson

from ...core import ConfigError, SourceError
from ..connector import Cursor, RawBatch, Split
from ..records import dig, table_of
from .http_auth import Auth, NoAuth
from .http_paging import Paging, SinglePage
from .http_session import HttpSession
from .secrets import reveal, reveal_all

# Records that share the newest value are remembered by digest, so that a tie that comes later is not lost.
_MOST_SEEN = 20_000


@dataclass(frozen=True, slots=True)
class Http:
    """Records of a JSON API, page by page.

    With `since` only new records are asked for: the parameter gets the highest value of field `mark` read so far;
    records that come again with that same value are told apart by their content. Without it the whole resource is read
    at every ingest: use ``Source(mode="overwrite")``.

    Attributes:
        url: Address of the resource; ``${NAME}`` here and in headers, parameters and auth is read from the environment.
        records: Dotted path of the list of records in an answer, such as ``data.items``; ``""`` when the answer is it.
        paging: How one page leads to the next: `PageNumber`, `Offset`, `PageToken`, `NextLink`, `LinkHeader`.
        auth: `Bearer`, `Basic`, `ApiKey`, or `ClientCredentials` (OAuth 2).
        params: Query parameters of every request.
        headers: Headers of every request.
        since: Parameter that asks for records from a value of `mark` on.
        mark: Field of a record that only grows: a counter or an ISO time of change.
        per_second: Most requests a second.
        retries: How often a request is tried again after 429, 5xx or a broken connection, with exponential
            back-off; ``Retry-After`` is obeyed.
        timeout: Seconds for one answer.

    Raises:
        ConfigError: Only one of `since` and `mark` is given, or a number is out of range.

    Example:
        >>> Http("https://api.example.org/orders", records="items", since="updated_after", mark="updated_at").since
        'updated_after'
    """

    url: str
    records: str = ""
    paging: Paging = field(default_factory=SinglePage)
    auth: Auth = field(default_factory=NoAuth)
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    since: str | None = None
    mark: str | None = None
    per_second: float = 10.0
    retries: int = 5
    timeout: float = 30.0

    sparse: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if (self.since is None) != (self.mark is None):
            raise ConfigError("Http needs since= and mark= together: the parameter, and the field whose value it gets")
        if self.per_second <= 0 or self.timeout <= 0 or self.retries < 0:
            raise ConfigError("per_second and timeout of Http are above 0, retries is at least 0")

    def plan(self, cursor: Cursor | None) -> tuple[list[Split], Cursor]:
        """One split when the first page holds anything new. Its end is known when it has been read: see `advance`."""
        if cursor is not None and self.since is None:
            raise SourceError(
                f"{self.url} is read whole each time, so what is new cannot be told: declare since= and mark=, "
                "or the source with mode='overwrite'"
            )
        before: Cursor = cursor or {"high": None, "seen": []}
        with self._session() as session:
            for page in self._pages(session, before):
                if self._fresh(page, before):
                    split = Split(self.url, {"high": before["high"], "seen": list(before["seen"])}, 1)
                    # Differs from `before`, so that nobody takes it for "nothing new"; `advance` replaces it.
                    return [split], {**before, "read_at": _now()}
        return [], before

    def read(self, split: Split) -> Iterator[RawBatch]:
        """A batch per page."""
        seen = Mark(split.address["high"], set(split.address["seen"]))
        before: Cursor = split.address
        with self._session() as session:
            for page in self._pages(session, before):
                fresh = self._fresh(page, before)
                if self.mark is not None:
                    for record in fresh:
                        seen.add(dig(record, self.mark, f"a record of {self.url}"), record)
                    if len(seen.digests) > _MOST_SEEN:
                        raise SourceError(
                            f"more than {_MOST_SEEN} records of {self.url} share {self.mark} = {seen.high!r}: "
                            "name a finer field"
                        )
                yield RawBatch(table_of(fresh), mark=None if self.mark is None else seen.cursor())

    def advance(self, cursor: Cursor, marks: Sequence[Mapping[str, Any]]) -> Cursor:
        """The cursor at the highest mark that was read."""
        return dict(marks[-1]) if marks else cursor

    def _session(self) -> HttpSession:
        return HttpSession(
            headers=reveal_all(self.headers),
            auth=self.auth,
            per_second=self.per_second,
            retries=self.retries,
            timeout=self.timeout,
        )

    def _pages(self, session: HttpSession, before: Cursor) -> Iterator[list[Mapping[str, Any]]]:
        params = reveal_all(self.params)
        if self.since is not None and before["high"] is not None:
            params[self.since] = str(before["high"])
        url = httpx.URL(reveal(self.url))
        request: httpx.Request | None = self.paging.first(httpx.Request("GET", url.copy_merge_params(params)))
        visited: set[str] = set()
        while request is not None:
            if str(request.url) in visited:
                raise SourceError(f"the pages of {self.url} go round in a circle at {request.url}: correct paging=")
            if request.url.host != url.host:
                raise SourceError(
                    f"the pages of {self.url} lead to another host, {request.url.host}: it gets no secret"
                )
            visited.add(str(request.url))
            answer = session.get(request)
            page = self._records(answer)
            yield page
            request = self.paging.following(request, answer, len(page))

    def _records(self, answer: httpx.Response) -> list[Mapping[str, Any]]:
        try:
            body = orjson.loads(answer.content)
        except orjson.JSONDecodeError as error:
            kind = answer.headers.get("content-type", "no content type")
            raise SourceError(
                f"{answer.url} answered {kind}, not JSON: {answer.text[:200]!r}. Check the URL"
            ) from error
        found = dig(body, self.records, f"the answer of {answer.url}")
        if not isinstance(found, list) or not all(isinstance(record, Mapping) for record in found):
            raise SourceError(
                f"{self.records or 'the answer'!r} of {answer.url} is no list of objects but "
                f"{str(found)[:200]}: correct records="
            )
        return found

    def _fresh(self, page: list[Mapping[str, Any]], before: Cursor) -> list[Mapping[str, Any]]:
        if self.mark is None or before["high"] is None:
            return page
        fresh = []
        for record in page:
            value = dig(record, self.mark, f"a record of {self.url}")
            # An API that ignores the parameter, or includes its value, gives old records again.
            if _above(value, before["high"]) or (value == before["high"] and digest(record) not in before["seen"]):
                fresh.append(record)
        return fresh


@dataclass(slots=True)
class Mark:
    """The highest value seen, and which records had it."""

    high: Any
    digests: set[str]

    def add(self, value: Any, record: Mapping[str, Any]) -> None:
        """Take a record into account."""
        if self.high is None or _above(value, self.high):
            self.high, self.digests = value, set()
        if value == self.high:
            self.digests.add(digest(record))

    def cursor(self) -> dict[str, Any]:
        """The mark as a cursor."""
        return {"high": self.high, "seen": sorted(self.digests)}


def digest(record: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits over a record's content."""
    text = orjson.dumps(record, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def _above(value: Any, high: Any) -> bool:
    try:
        return bool(value > high)
    except TypeError as error:
        raise SourceError(f"the mark of records has values {high!r} and {value!r}, which cannot be compared") from error


def _now() -> str:
    return datetime.now(UTC).isoformat()
