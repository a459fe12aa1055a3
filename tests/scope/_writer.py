"""A process that writes guidelines: `python _writer.py FILE NAME COUNT`; says each one that is reported written."""

import asyncio
import sys

from agentinfer.scope import Add, Guideline, Outcome, Source, Space, SqliteStore


async def main(path: str, name: str, count: int) -> None:
    store = SqliteStore(path)
    for number in range(count):
        guideline = Guideline(
            id=f"{name}-{number}",
            text=f"Writer {name} says {number}.",
            kind="corrective",
            status="trial",
            sources=(Source(origin="run", run=name),),
        )
        await store.apply(Space("t"), [Add(guideline)], author=name)
        if number % 5 == 0:
            await store.record(Space("t"), Outcome(run=f"{name}-{number}", score=1.0, shown=("shared",)))
        sys.stdout.write(f"{guideline.id}\n")
        sys.stdout.flush()
    await store.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
