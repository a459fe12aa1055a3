"""Exchanges with an endpoint as files: JSON Lines, one file an exchange, named by what was asked.

```
DIR/recording.json                  the format's version, and the endpoint recorded first
DIR/<digest of the request>-1.jsonl   the request, a line for each chunk of the first answer to it, how it ended
DIR/<digest of the request>-2.jsonl   the second answer to the very same request
DIR/<digest>-left.jsonl               what had arrived of an answer whose caller went away before its end
```
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agentinfer import errors
from agentinfer.errors import AuthenticationFailed, CallTimeout, ModelError, NotRecorded, UserError

__all__ = ["Exchange", "digest_of", "keep", "read_answer", "read_header", "requests_in", "write_header"]

VERSION = 1
HEADER = "recording.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and what came of it."""

    endpoint: str
    """Who was asked."""
    request: Any
    """The request's body, parsed."""
    stream: bool
    """Whether a stream was asked for."""
    chunks: Sequence[Any]
    """What came, piece by piece, as parsed JSON."""
    end: Literal["whole", "cut", "left", "error"]
    """The endpoint said that it was done; it stopped without saying so; the caller went away; it failed."""
    error: ModelError | None = None
    """How it failed."""


def digest_of(request: Any) -> str:
    """What names a request, whatever the order of its fields."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:32]


def read_header(directory: Path) -> str | None:
    """The endpoint of a recording; `None` where none has begun.

    Raises:
        UserError: The directory holds something else, or a recording of another version.
    """
    try:
        header = json.loads((directory / HEADER).read_bytes())
        version = header["version"]
        endpoint = str(header["endpoint"]) if version == VERSION else ""
    except FileNotFoundError:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if all(path.suffix == ".tmp" for path in directory.iterdir()):
                return None
        if not directory.exists():
            return None
        raise UserError(f"{directory} holds no recording (it has no {HEADER})") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{directory / HEADER} cannot be read: {error!r}") from None
    if version != VERSION:
        raise UserError(f"{directory} is a recording of version {version!r}, not {VERSION}: record it again")
    return endpoint


def write_header(directory: Path, endpoint: str) -> None:
    """Begin a recording; one that has begun stays as it is."""
    directory.mkdir(parents=True, exist_ok=True)
    header = {"format": "agentinfer recording", "version": VERSION, "endpoint": endpoint}
    with _temporary(directory, json.dumps(header, indent=1).encode() + b"\n") as file, contextlib.suppress(OSError):
        os.link(file, directory / HEADER)
    read_header(directory)


def keep(directory: Path, exchange: Exchange, secrets: Sequence[str] = ()) -> None:
    """Write an exchange, beside the earlier answers to the same request."""
    lines: list[Any] = [
        {"endpoint": exchange.endpoint, "stream": exchange.stream, "request": exchange.request},
        *({"chunk": _without(secrets, chunk)} for chunk in exchange.chunks),
        {"end": exchange.end, **({"error": _error_data(exchange.error, secrets)} if exchange.error else {})},
    ]
    data = b"".join(json.dumps(line, ensure_ascii=False).encode(errors="surrogatepass") + b"\n" for line in lines)
    digest = digest_of(exchange.request)
    with _temporary(directory, data) as file:
        if exchange.end == "left":
            os.replace(file, directory / f"{digest}-left.jsonl")
            return
        number = 1
        while True:
            try:  # takes a name that is free, and never one that another has taken meanwhile
                os.link(file, directory / f"{digest}-{number}.jsonl")
            except FileExistsError:
                number += 1
            else:
                return


@contextlib.contextmanager
def _temporary(directory: Path, data: bytes) -> Iterator[str]:
    descriptor, name = tempfile.mkstemp(dir=directory, suffix=".tmp")
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
        os.chmod(name, 0o644)
        yield name
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def read_answer(directory: Path, digest: str, turn: int) -> Exchange | None:
    """The answer to the `turn`-th request of that digest, from 1: the last one where there are no more.

    Raises:
        NotRecorded: Its file is damaged.
    """
    while turn > 1 and not (directory / f"{digest}-{turn}.jsonl").exists():
        turn = min(turn - 1, sum(1 for _ in directory.glob(f"{digest}-[0-9]*.jsonl")))
    for name in (f"{digest}-{max(turn, 1)}.jsonl", f"{digest}-left.jsonl"):
        try:
            data = (directory / name).read_bytes()
        except FileNotFoundError:
            continue
        try:
            head, *chunks, end = [json.loads(line.decode(errors="surrogatepass")) for line in data.splitlines()]
            return Exchange(
                **head,
                chunks=[chunk["chunk"] for chunk in chunks],
                end=end["end"],
                error=_error_of(end["error"]) if "error" in end else None,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise NotRecorded(f"The recording {directory / name} is damaged: {error!r}") from None
    return None


def requests_in(directory: Path) -> list[tuple[str, Any]]:
    """All recorded requests, with the names of their files; damaged ones left out."""
    found = []
    for path in sorted(directory.glob("*.jsonl")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError), path.open("rb") as file:
            found.append((path.name, json.loads(file.readline().decode(errors="surrogatepass"))["request"]))
    return found


def _error_data(error: ModelError, secrets: Sequence[str]) -> dict[str, Any]:
    kind = next(kind for kind in type(error).__mro__ if getattr(errors, kind.__name__, None) is kind)
    message = str(error)
    if isinstance(error, AuthenticationFailed):  # where endpoints repeat the key, or most of it
        message = f"The endpoint refused the key ({error.status}; its words are not recorded)"
    return {
        "type": kind.__name__,
        "message": _without(secrets, {"error": message})["error"],
        "partial": error.partial,
        "delivered": error.delivered,
        "status": error.status,
        "retry_after": error.retry_after,
        "retryable": error.retryable,
        **({"phase": error.phase} if isinstance(error, CallTimeout) else {}),
    }


def _error_of(data: dict[str, Any]) -> ModelError:
    kind = getattr(errors, data["type"])
    partial = {"partial": data["partial"], "delivered": data["delivered"]}
    error: ModelError
    if kind is CallTimeout:
        error = CallTimeout(data["message"], phase=data["phase"], **partial)
    else:
        error = kind(data["message"], status=data["status"], retry_after=data["retry_after"], **partial)
    error.retryable = data["retryable"]
    return error


def _without(secrets: Sequence[str], chunk: Any) -> Any:
    """The chunk; one that tells of an error without secrets, as endpoints repeat keys in their refusals."""
    if not (secrets and isinstance(chunk, dict) and chunk.get("error")):
        return chunk
    text = json.dumps(chunk)
    for secret in secrets:
        text = text.replace(json.dumps(secret)[1:-1], "***")
    return json.loads(text)
