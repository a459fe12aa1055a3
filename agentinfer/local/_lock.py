"""A lock between processes, held by an open file."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def file_lock(path: Path, waiting: Callable[[], None], *, patience: float = math.inf) -> Iterator[None]:
    """Hold a lock that the system releases when this process ends, however it ends.

    The file stays: removing it would let two processes lock two files of one name.

    Args:
        path: The lock's file.
        waiting: Called once if another process holds the lock.
        patience: Seconds to wait for it.

    Raises:
        TimeoutError: Another process holds the lock for longer.
    """
    deadline = time.monotonic() + patience
    with path.open("ab") as file:
        told = False
        while not _try_lock(file.fileno()):
            if not told:
                waiting()
                told = True
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"another process holds {path}")
            time.sleep(min(0.2, left))
        yield
