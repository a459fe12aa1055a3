"""Fetches a file from the model hub, continuing what is there."""

import time

import httpx

from agentinfer.local._catalogue import HubSource
from agentinfer.local._sink import Sink, SourceFailed

_CONNECT_TIMEOUT = 5.0
_READ_TIMEOUT = 30.0
_IDLE_TRIES = 3


def fetch(source: HubSource, sink: Sink) -> None:
    """Append the rest of the file.

    A broken connection is taken up again where it broke, as long as each try brings bytes.

    Raises:
        SourceFailed: The hub cannot be reached, refuses, or stopped sending.
        LocalModelError: The disk is full.
    """
    sink.reserve()
    url = source.url()
    timeout = httpx.Timeout(_READ_TIMEOUT, connect=_CONNECT_TIMEOUT)
    idle = 0
    with httpx.Client(timeout=timeout, follow_redirects=True) as client:
        while sink.done < sink.total:
            before = sink.done
            try:
                _request(client, url, sink)
                reason = "the answer ended too early"
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if sink.done == 0 or idle:
                    raise SourceFailed(f"no connection to {url}: {str(error) or 'timed out'}") from error
                reason = "no connection"
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                reason = str(error) or type(error).__name__
            if sink.done < sink.total:
                idle = 0 if sink.done > before else idle + 1
                if idle >= _IDLE_TRIES:
                    raise SourceFailed(f"{url}: {reason}")
                sink.tell(f"connection lost ({reason}); continuing at byte {sink.done:,}")
                time.sleep(idle)


def _request(client: httpx.Client, url: str, sink: Sink) -> None:
    # Without this header a proxy may compress, and the offsets of a range would be those of compressed bytes.
    headers = {"Accept-Encoding": "identity"}
    if sink.done:
        headers["Range"] = f"bytes={sink.done}-"
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            sink.cut(0)
            return
        if response.status_code not in {httpx.codes.OK, httpx.codes.PARTIAL_CONTENT}:
            raise SourceFailed(f"{url} answered {response.status_code} {response.reason_phrase}")
        if response.headers.get("content-range", "").startswith(f"bytes {sink.done}-"):
            sink.tell("")
        elif sink.done:
            sink.tell("the hub does not continue a file; starting over")
            sink.cut(0)
        # In pieces as they come: httpx would lose the rest of a larger piece when the connection breaks.
        for chunk in response.iter_raw():
            sink.write(chunk)
