"""Online store on Redis: one packed value per entity, written by scripts so that older never overwrites newer.

Keys begin with the workspace's name, so several workspaces may share a database. Durability is the server's own
(`appendonly`, replicas); what it loses comes back by materialising again, since the cursor lies beside the values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ..core import ConfigError, StorageError
from ..core.closing import Closing
from ..data.connectors.secrets import conceal, reveal
from ..data.optional import need
from .codec import RANK_BYTES, event_of
from .fallback import NullFallback
from .online import TOGETHER, OnlineStore, newest_of, within

_CONNECT_SECONDS, _ANSWER_SECONDS = 1.0, 5.0
_PIPELINED = 20  # scripts that are sent before the answers are read: 10,000 keys
_SCANNED = 1_000
# Lua compares strings by the server's locale, so ranks are compared as four numbers.
_GREATER = """
local function greater(a, b)
  local a1, a2, a3, a4 = struct.unpack('>I4I4I4I4', a)
  local b1, b2, b3, b4 = struct.unpack('>I4I4I4I4', b)
  if a1 ~= b1 then return a1 > b1 end
  if a2 ~= b2 then return a2 > b2 end
  if a3 ~= b3 then return a3 > b3 end
  return a4 > b4
end
local changed = 0
"""
_PUT = (
    _GREATER
    + """
for i, key in ipairs(KEYS) do
  local value, old = ARGV[i], redis.call('GETRANGE', key, 0, 15)
  if old == '' or not greater(old, value) then
    local ends = ARGV[#KEYS + i]
    if ends then redis.call('SET', key, value, 'PXAT', ends) else redis.call('SET', key, value) end
    changed = changed + 1
  end
end
return changed
"""
)
_AMEND = (
    _GREATER
    + """
for i, key in ipairs(KEYS) do
  local limit, value, old = ARGV[2 * i - 1], ARGV[2 * i], redis.call('GET', key) or ''
  if old ~= value and (old == '' or not greater(old, limit)) then
    if value == '' then redis.call('DEL', key) else redis.call('SET', key, value) end
    changed = changed + 1
  end
end
return changed
"""
)
_DROP = (
    _GREATER
    + """
for _, key in ipairs(KEYS) do
  local old = redis.call('GETRANGE', key, 0, 15)
  if old ~= '' and greater(ARGV[1], old) then changed = changed + redis.call('DEL', key) end
end
return changed
"""
)


def open_redis(url: str, name: str) -> OnlineStore:
    """The store of a ``redis://`` URL; ``fallback=null`` in its query is ours, the rest is redis-py's.

    Raises:
        ConfigError: redis-py is not installed, or the URL is not valid.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    fallback = query.pop("fallback", "error")
    if fallback not in ("error", "null"):
        raise ConfigError(f"fallback={fallback!r} of the online store is not valid: use error or null")
    store = RedisStore(urlunsplit(parts._replace(query=urlencode(query))), f"{name}:")
    return NullFallback(store) if fallback == "null" else store


class RedisStore(Closing):
    """`OnlineStore` on Redis 6.2 or newer. Needs ``raylake[redis]``.

    Nothing is connected before the first call. Connections are shared by threads, taken anew after a fork, and opened
    again after an outage; a call is tried twice, then it raises.

    Args:
        url: ``redis://`` or ``rediss://`` URL; ``${NAME}`` is read from the environment, the query is redis-py's.
        prefix: What every key begins with.

    Raises:
        ConfigError: redis-py is not installed, or the URL is not valid.

    Example:
        >>> RedisStore("redis://cache.example:6379/0", "default:").sync()
    """

    def __init__(self, url: str, prefix: str) -> None:
        redis = need("redis", "redis")
        self._url, self._prefix = url, prefix.encode()
        retry = need("redis.retry", "redis").Retry(need("redis.backoff", "redis").NoBackoff(), 1)
        try:
            self._client = redis.Redis.from_url(
                reveal(url), retry=retry, socket_connect_timeout=_CONNECT_SECONDS, socket_timeout=_ANSWER_SECONDS
            )
        except (ValueError, TypeError) as error:
            raise ConfigError(f"online store {conceal(url)} is not a valid Redis URL: {error}") from error
        self._put, self._amend, self._drop = map(self._client.register_script, (_PUT, _AMEND, _DROP))
        self._error: type[Exception] = redis.RedisError
        self._closed = False

    def __reduce__(self) -> tuple[object, ...]:
        return (RedisStore, (self._url, self._prefix.decode()))

    def put(self, items: Iterable[tuple[bytes, bytes]], *, keep: timedelta | None = None) -> int:
        """See `OnlineStore.put`; with `keep` the server forgets a value by itself."""
        newest = within(newest_of(items), keep)
        span = None if keep is None else keep // timedelta(milliseconds=1)

        def arguments(part: list[tuple[bytes, bytes]]) -> list[Any]:
            values: list[Any] = [value for _, value in part]
            return values + ([] if span is None else [event_of(value) // 1000 + span for _, value in part])

        return self._run(self._put, list(newest.items()), arguments)

    def amend(self, items: Iterable[tuple[bytes, bytes, bytes | None]]) -> int:
        """See `OnlineStore.amend`."""

        def arguments(part: list[tuple[bytes, bytes, bytes | None]]) -> list[Any]:
            return [argument for _, limit, value in part for argument in (limit, value or b"")]

        return self._run(self._amend, list(items), arguments)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `OnlineStore.get_many`."""
        with self._translated():
            if len(keys) == 1:
                return [self._client.get(self._prefix + keys[0])]
            found: list[bytes | None] = self._client.mget([self._prefix + key for key in keys]) if keys else []
            return found

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See `OnlineStore.scan`."""
        names = self._names(prefix)
        while part := self._next(names):
            with self._translated():
                values = self._client.mget(part)
            for name, value in zip(part, values, strict=True):
                if value is not None:
                    yield name[len(self._prefix) :], value

    def drop(self, prefix: bytes, below: bytes | None = None) -> int:
        """See `OnlineStore.drop`."""
        names, removed = self._names(prefix), 0
        while part := self._next(names):
            with self._translated():
                removed += int(self._client.unlink(*part) if below is None else self._drop(keys=part, args=[below]))
        return removed

    def count(self, prefix: bytes = b"") -> int:
        """See `OnlineStore.count`."""
        names, found = self._names(prefix), set[bytes]()
        while part := self._next(names):
            found.update(part)
        return len(found)

    def sync(self) -> None:
        """See `OnlineStore.sync`; the server's own settings decide."""
        with self._translated():
            return

    def close(self) -> None:
        """See `OnlineStore.close`."""
        self._closed = True
        self._client.close()

    def _run(self, script: Any, items: Sequence[Any], arguments: Callable[[list[Any]], list[Any]]) -> int:
        """Run a script over items whose first part is the key, `TOGETHER` at once; the sum of its answers."""
        rest, changed = iter(items), 0
        with self._translated():
            while parts := [part for _ in range(_PIPELINED) if (part := list(islice(rest, TOGETHER)))]:
                if len(parts) == 1:
                    changed += self._call(script, parts[0], arguments, None)
                    continue
                with self._client.pipeline(transaction=False) as pipeline:
                    for part in parts:
                        self._call(script, part, arguments, pipeline)
                    changed += sum(map(int, pipeline.execute()))
        return changed

    def _call(self, script: Any, part: list[Any], arguments: Callable[[list[Any]], list[Any]], client: Any) -> Any:
        return script(keys=[self._prefix + item[0] for item in part], args=arguments(part), client=client)

    def _names(self, prefix: bytes) -> Iterator[bytes]:
        pattern = re.sub(rb"([*?\[\]\\])", rb"\\\1", self._prefix + prefix) + b"*"
        return iter(self._client.scan_iter(match=pattern, count=_SCANNED))

    def _next(self, names: Iterator[bytes]) -> list[bytes]:
        with self._translated():
            return list(islice(names, TOGETHER))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        if self._closed:
            raise StorageError(f"online store {conceal(self._url)} is closed: open it again (open_online)")
        try:
            yield
        except self._error as error:
            raise self._translation(error) from error

    def _translation(self, error: Exception) -> StorageError:
        where, kind = conceal(self._url), type(error).__name__
        if "Authentication" in kind or "NOAUTH" in str(error) or "NoPermission" in kind:
            advice = "it refuses these credentials; correct the user and password in online_url"
        elif "OutOfMemory" in kind or str(error).startswith("OOM"):
            advice = "it is full; raise its maxmemory, or keep less (features.set_online_retention)"
        elif "Connection" in kind or "Timeout" in kind:
            advice = "it does not answer; start it, or correct online_url. Nothing is lost: this may be done again"
        else:
            advice = "look at the server's log"
        return StorageError(f"online store {where}: {advice} ({kind}: {error})")


assert RANK_BYTES == 16, "the scripts compare sixteen bytes"
