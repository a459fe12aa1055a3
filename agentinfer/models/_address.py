"""Where an endpoint is, and what every request to it carries."""

from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from agentinfer.errors import UserError

__all__ = ["Address"]


class Address:
    """An endpoint's address.

    Args:
        base_url: The address under which `/chat/completions` is found; usually ends in `/v1`.
        api_key: Sent as a bearer token.
        headers: Further headers of every request.

    Raises:
        UserError: This is no HTTP address, or the key or a header cannot be sent.
    """

    def __init__(self, base_url: str, *, api_key: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        base_url = base_url.strip().rstrip("/").removesuffix("/chat/completions")
        self.shown = _without_secrets(base_url)
        """The base URL as it may be shown: without user, password, query."""
        parts = urlsplit(base_url)
        try:
            usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port)
        except ValueError:  # a port that is no number
            usable = False
        if not usable or not base_url.isprintable() or " " in base_url:
            raise UserError(f"{self.shown!r} is no base URL: it should look like http://127.0.0.1:8080/v1")
        self.secure = parts.scheme == "https"
        # A user and a password move to a header: addresses end up in logs.
        netloc = parts.netloc.rpartition("@")[2]
        self.url = urlunsplit(parts._replace(netloc=netloc, path=parts.path + "/chat/completions"))
        self.headers = {"content-type": "application/json", "accept": "text/event-stream, application/json"}
        if parts.username:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self.headers["authorization"] = f"Basic {b64encode(user.encode()).decode()}"
        if api_key:
            self.headers["authorization"] = f"Bearer {api_key.strip()}"
        self.headers.update(headers or {})
        for name, value in self.headers.items():
            if not (name + value).isascii() or not (name + value).isprintable():
                raise UserError(f"The header {name!r} holds a character that HTTP headers cannot carry")

    def proxy(self) -> str | None:
        """The proxy that the environment asks for, where it does."""
        parts = urlsplit(self.url)
        if proxy_bypass(parts.hostname or ""):
            return None
        proxies = getproxies()
        return proxies.get(parts.scheme) or proxies.get("all")

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
