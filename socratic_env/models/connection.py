"""The client of an endpoint, and why it got no reply: told by the cause, not by the client's own class.

The client reports a refused connection and an unknown host as time-outs; what really happened is further
down its chain of causes. Proxies and certificates come from the environment's variables.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
import openai

from socratic_env.errors import EndpointUnusable
from socratic_env.models.refusal import Asked, Trouble

_PROXIES = ("http", "https", "all", "no")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def open_client(
    base_url: str,
    key: str,
    timeout: httpx.Timeout,
    on_response: Callable[[httpx.Response], Awaitable[None]],
) -> openai.AsyncOpenAI:
    """A client of the running loop. Raises EndpointUnusable where a variable of the environment, such as
    HTTP_PROXY or SSL_CERT_FILE, makes one impossible."""
    try:
        # The default transport took eight times as long at 512 calls at once.
        http = openai.DefaultAioHttpClient(event_hooks={"response": [on_response]})
        return openai.AsyncOpenAI(
            base_url=base_url,
            api_key=key,
            max_retries=0,
            timeout=timeout,
            http_client=http,
            default_headers={"Accept-Encoding": "identity"},
        )
    except Exception as error:  # noqa: BLE001 - whatever a variable's value makes the client raise
        problem = _unusable_variable() or f"{type(error).__name__}: {error}"
    raise EndpointUnusable(f"cannot be called: {problem}")


def _unusable_variable() -> str | None:
    """The variable of the environment that no client can be made with, and why."""
    try:
        ssl.create_default_context()
    except OSError as error:
        if "SSLKEYLOGFILE" in os.environ:
            return f"SSLKEYLOGFILE cannot be written ({error.strerror}); correct or unset that variable"
    for name in _CERTIFICATES:
        path = os.environ.get(name)
        if not path:
            continue
        try:
            kind = "cafile" if name == "SSL_CERT_FILE" else "capath"
            ssl.create_default_context(**{kind: path})  # type: ignore[arg-type]
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            return f"{name} is {path!r}, which holds no certificates ({why}); correct or unset that variable"
    for scheme in _PROXIES:
        address = getproxies().get(scheme, "")
        if not address or scheme == "no":
            continue
        try:
            httpx.Proxy(address if "://" in address else f"http://{address}")
        except (ValueError, httpx.InvalidURL):
            return f"{_variable(scheme)} is no proxy's address; set it to http://HOST:PORT, or unset it"
    return f"{_variable('no')} is no list of hosts; correct or unset it" if getproxies().get("no") else None


def _variable(scheme: str) -> str:
    """The name under which the environment holds the proxy of a scheme."""
    names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY")
    return next((name for name in names if os.environ.get(name)), names[1])


def _proxy_of(base_url: str) -> tuple[str, str] | None:
    """(variable, host:port) of the proxy between here and an address; None if there is none."""
    parts = urlsplit(base_url)
    if proxy_bypass(parts.hostname or ""):
        return None
    for scheme in (parts.scheme, "all"):
        address = getproxies().get(scheme)
        if address:  # without the user and the password that may stand in it
            return _variable(scheme), address.rpartition("@")[2].rpartition("//")[2].strip("/")
    return None


def trouble_of(error: BaseException, asked: Asked, connect_s: float) -> Trouble:
    """What was in the way, by the cause that says it."""
    chain = list(_chain(error))
    trouble = _cause(chain, connect_s)
    proxy = _proxy_of(asked.base_url)
    if proxy is None:
        return replace(trouble, text=asked.strike(trouble.text))
    variable, address = proxy
    hint = f"calls go through the proxy in {variable}: correct or unset it, or name the host in NO_PROXY"
    host = urlsplit(asked.base_url).hostname or ""
    if any(
        isinstance(each, aiohttp.ClientProxyConnectionError)
        or (isinstance(each, aiohttp.ClientConnectorError) and str(each.host).lower() != host.lower())
        for each in chain
    ):
        return replace(trouble, text=f"the proxy {address} {trouble.text}", hint=hint)
    return replace(trouble, hint="; ".join(filter(None, (trouble.hint, hint))))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and all that are behind it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        for name in ("os_error", "certificate_error"):  # of aiohttp
            inner = getattr(error, name, None)
            if isinstance(inner, BaseException):
                yield inner
        error = error.__cause__ or error.__context__


def _cause(chain: Sequence[BaseException], connect_s: float) -> Trouble:
    def first(*kinds: type[BaseException]) -> BaseException | None:
        return next((each for each in chain if isinstance(each, kinds)), None)

    if (refused := first(aiohttp.ClientHttpProxyError)) is not None:
        return Trouble(f"cannot be reached: the proxy refused (HTTP {refused.status})", EndpointUnusable)  # type: ignore[attr-defined]
    if (untrusted := first(ssl.SSLCertVerificationError)) is not None:
        why = getattr(untrusted, "verify_message", "") or untrusted
        given = next((name for name in _CERTIFICATES if os.environ.get(name)), None)
        hint = f"{given or 'SSL_CERT_FILE'} says which certificates are trusted"
        return Trouble(f"failed: its certificate is not trusted ({why})", EndpointUnusable, hint=hint)
    if (unshaken := first(ssl.SSLError) or first(aiohttp.ClientSSLError)) is not None:
        why = getattr(unshaken, "reason", None) or "no handshake"
        hint = "does the server speak https? if not, base_url begins with http://"
        return Trouble(f"failed: no TLS connection ({why})", EndpointUnusable, hint=hint)
    if (unnamed := first(socket.gaierror) or first(aiohttp.ClientConnectorDNSError)) is not None:
        text = f"cannot be reached: unknown host ({getattr(unnamed, 'strerror', None) or 'no address'})"
        return Trouble(text, passing=True, hint="see to the host in base_url", unreached=True)
    if first(ConnectionRefusedError) is not None:
        hint = "is the server running, and is the port right?"
        return Trouble("cannot be reached: connection refused", passing=True, hint=hint, unreached=True)
    if first(aiohttp.ConnectionTimeoutError) is not None:
        text = f"cannot be reached: no connection within {connect_s} s (see 'connect_s')"
        return Trouble(text, passing=True)
    if (unreached := first(aiohttp.ClientConnectorError)) is not None:
        why = getattr(unreached, "strerror", None) or unreached
        return Trouble(f"cannot be reached: {why}", passing=True)
    if first(ConnectionError, aiohttp.ClientPayloadError, aiohttp.ClientOSError) is not None:
        return Trouble("failed: the connection broke before the whole reply was there", passing=True)
    if first(httpx.TimeoutException) is not None:
        return Trouble("failed: no reply in time", passing=True)
    last = chain[-1]
    passing = first(httpx.TransportError, aiohttp.ClientError) is not None
    return Trouble(f"failed: {type(last).__name__}: {str(last)[:200]}", passing=passing)
