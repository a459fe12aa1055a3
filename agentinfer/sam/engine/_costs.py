"""What passes cost on this machine: measured once for a model, then kept."""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from agentinfer.errors import UserError
from agentinfer.local import models_directory
from agentinfer.sam._gain import CostTable
from agentinfer.sam.engine._native import Llama

__all__ = ["costs_path", "kept_costs", "measure_costs", "read_costs", "write_costs"]

CONTEXT = 256
SIZES = (1, 2, 3, 4, 6, 8, 12, 16)
REPEATS = 3


def measure_costs(
    llama: Llama, *, contexts: Iterable[int] = (CONTEXT,), sizes: Sequence[int] = SIZES, repeats: int = REPEATS
) -> list[CostTable]:
    """Time passes. Of those of one kind the fastest counts: the others had to wait for the cores.

    The KV cache is empty afterwards.

    Args:
        llama: The model.
        contexts: Tokens in the KV cache before the pass; those for which there is no room are left out.
        sizes: Tokens of a pass, 1 among them.
        repeats: How often each is timed.

    Returns:
        A table for each context, in seconds.
    """
    tables = []
    for context in contexts:
        if context + max(sizes) > llama.context:
            continue
        _fill(llama, context)
        seconds = {size: float("inf") for size in sizes}
        for _ in range(repeats):
            for size in sizes:
                seconds[size] = min(seconds[size], _timed(llama, context, size))
        # A pass over fewer tokens costs no more than one over more: where it seems to, something else ran meanwhile.
        least = {size: min(seconds[more] for more in sizes if more >= size) for size in sizes}
        tables.append(CostTable(costs=least, batch=1, context=context))
    llama.clear()
    return tables


def _fill(llama: Llama, context: int) -> None:
    llama.clear()
    for start in range(0, context, llama.batch):
        llama.decode(_some(llama, start, min(llama.batch, context - start)), start)
    llama.wait()


def _timed(llama: Llama, context: int, size: int) -> float:
    started = time.perf_counter()
    llama.decode(_some(llama, context, size), context, logits=size)
    for at in range(size):
        llama.logits(at).argmax()
    seconds = time.perf_counter() - started
    llama.forget(context)
    return seconds


def _some(llama: Llama, start: int, count: int) -> list[int]:
    """Tokens; which ones makes no difference to the time."""
    return [1000 + at % 997 if llama.size > 2000 else at % llama.size for at in range(start, start + count)]


def kept_costs(llama: Llama, path: Path, *, about: Mapping[str, object]) -> list[CostTable]:
    """The tables of a model with these settings: read where they were measured before, else measured and kept.

    Where they cannot be kept they are measured again the next time.
    """
    kept = costs_path(path, about)
    try:
        return read_costs(kept)
    except UserError:  # none, or none that can be read
        tables = measure_costs(llama)
    with suppress(OSError):
        write_costs(kept, tables)
    return tables


def costs_path(path: Path, about: Mapping[str, object]) -> Path:
    """Where the tables of a model file are kept, for how it is loaded."""
    key = [path.name, path.stat().st_size, dict(about), os.cpu_count()]
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    return models_directory().parent / "costs" / f"{path.stem}-{digest}.json"


def write_costs(path: Path, tables: Iterable[CostTable]) -> None:
    """Write tables as JSON: a list of `{"costs": {"1": seconds, ...}, "batch": 1, "context": tokens}`.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    listed = [{"costs": dict(table.costs), "batch": table.batch, "context": table.context} for table in tables]
    partial.write_text(json.dumps(listed, indent=1) + "\n")
    partial.replace(path)


def read_costs(path: Path) -> list[CostTable]:
    """Read what `write_costs` wrote.

    Raises:
        UserError: There is nothing of the kind.
    """
    try:
        tables = [
            CostTable(
                costs={int(size): float(cost) for size, cost in table["costs"].items()},
                batch=int(table.get("batch", 1)),
                context=int(table.get("context", 0)),
            )
            for table in json.loads(path.read_text())
        ]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} holds no cost tables: {error!r}") from None
    if not tables:
        raise UserError(f"{path} holds no cost tables")
    return tables
