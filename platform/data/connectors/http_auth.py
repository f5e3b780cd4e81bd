"""How a request says who asks: bearer tokens, basic authentication, API keys, OAuth 2 client credentials."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

import httpx

from ...core import ConfigError, SourceError
from .secrets import reveal


class Auth(Protocol):
    """A frozen value that makes the authentication of a client."""

    def flow(self, client: httpx.Client) -> httpx.Auth:
        """What the client uses."""
        ...


@dataclass(frozen=True, slots=True)
class NoAuth:
    """Nobody asks."""

    def flow(self, client: httpx.Client) -> httpx.Auth:
        """Nothing is added."""
        return httpx.Auth()


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token in the header ``Authorization: Bearer``; write it as ``${NAME}``."""

    token: str

    def flow(self, client: httpx.Client) -> httpx.Auth:
        """Adds the header."""
        return _Header("Authorization", f"Bearer {reveal(self.token)}")


@dataclass(frozen=True, slots=True)
class Basic:
    """User and password; write the password as ``${NAME}``."""

    user: str
    password: str

    def flow(self, client: httpx.Client) -> httpx.Auth:
        """HTTP basic authentication."""
        return httpx.BasicAuth(reveal(self.user), reveal(self.password))


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key in a header or, with ``place="query"``, in a parameter; write it as ``${NAME}``."""

    key: str
    name: str = "X-API-Key"
    place: str = "header"

    def __post_init__(self) -> None:
        if self.place not in ("header", "query"):
            raise ConfigError(f"place={self.place!r} of ApiKey is not valid: use 'header' or 'query'")

    def flow(self, client: httpx.Client) -> httpx.Auth:
        """Adds header or parameter."""
        key = reveal(self.key)
        return _Header(self.name, key) if self.place == "header" else _Query(self.name, key)


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """OAuth 2 client credentials (RFC 6749, section 4.4): a token is fetched, and again when it expires."""

    token_url: str
    client_id: str
    client_secret: str
    scope: str = ""

    def flow(self, client: httpx.Client) -> httpx.Auth:
        """Fetches tokens with a client of its own."""
        return _ClientToken(self)


class _Header(httpx.Auth):
    def __init__(self, name: str, value: str) -> None:
        self._name, self._value = name, value

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        request.headers[self._name] = self._value
        yield request


class _Query(httpx.Auth):
    def __init__(self, name: str, value: str) -> None:
        self._name, self._value = name, value

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        request.url = request.url.copy_merge_params({self._name: self._value})
        yield request


class _ClientToken(httpx.Auth):
    requires_response_body = True

    def __init__(self, given: ClientCredentials) -> None:
        self._given = given
        self._token = ""
        self._until = 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        for fresh in (False, True):
            if fresh or time.monotonic() >= self._until:
                self._take((yield self._ask()))
            request.headers["Authorization"] = f"Bearer {self._token}"
            answer = yield request
            if answer.status_code != httpx.codes.UNAUTHORIZED:
                return

    def _ask(self) -> httpx.Request:
        form = {"grant_type": "client_credentials", **({"scope": self._given.scope} if self._given.scope else {})}
        request = httpx.Request("POST", self._given.token_url, data=form)
        basic = httpx.BasicAuth(reveal(self._given.client_id), reveal(self._given.client_secret))
        return next(basic.auth_flow(request))

    def _take(self, answer: httpx.Response) -> None:
        try:
            body = answer.json() if answer.is_success else {}
            self._token = body["access_token"]
            self._until = time.monotonic() + float(body.get("expires_in", 300)) * 0.9
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(
                f"{self._given.token_url} gave no token ({answer.status_code}): check client_id and client_secret"
            ) from error
