"""The process that holds one model: run as a script, it imports nothing of this library.

It reads its settings as one line of JSON, prints the server's address, and serves until its input ends. The
parent holds the other end of that pipe, so however the parent dies, this process ends too.
"""

import json
import os
import sys
import threading
import time
from typing import Any

READY = "ready "
_PARENT_CHECK_SECONDS = 1.0


def main() -> None:
    """Serve until the parent is gone."""
    settings = json.loads(sys.stdin.readline())
    import xllamacpp

    params = xllamacpp.CommonParams()
    _configure(params, settings)
    try:
        server = xllamacpp.Server(params)  # returns once the model is loaded and the port is open
    except RuntimeError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{READY}{server.listening_address}\n")
    sys.stdout.flush()
    threading.Thread(target=_end_with_parent, args=(settings["parent"],), daemon=True).start()
    sys.stdin.read()
    os._exit(0)  # a running generation would hold up an orderly end


def _configure(params: Any, settings: dict[str, Any]) -> None:
    params.model.path = settings["path"]
    params.model_alias = {settings["model"]}
    params.hostnames = ["127.0.0.1"]
    params.port = settings["port"]
    params.n_parallel = settings["slots"]
    params.n_ctx = settings["context"] * settings["slots"]  # llama.cpp divides it among the slots
    params.cpuparams.n_threads = settings["threads"]
    params.cache_ram_mib = settings["cache_mb"]
    params.verbosity = 1  # errors only
    # Any web page may send requests to this machine's ports: leave nothing open that a client does not need.
    params.cors_origins = "localhost"
    params.cors_credentials = False
    params.ui = False
    params.endpoint_slots = False


def _end_with_parent(parent: int) -> None:
    # A process forked from the parent may hold the pipe's other end open after the parent's death.
    while os.name != "posix" or os.getppid() == parent:
        time.sleep(_PARENT_CHECK_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    main()
