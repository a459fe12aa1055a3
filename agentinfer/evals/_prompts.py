"""What an agent is asked: the question as it is, or with what one search found."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agentinfer.corpus import Corpus, Hit
from agentinfer.evals._questions import Question
from agentinfer.evals._retrieval import Retrieved

__all__ = ["CLOSED_BOOK", "ONE_SHOT", "Prompt", "Prompter", "one_shot"]

CLOSED_BOOK = """\
Answer the question from what you know, as short as possible: a name, a date, a number, yes or no. \
Write the answer only. Where you are not sure, give your best guess."""

ONE_SHOT = """\
Answer the question from the passages given with it, as short as possible: a name, a date, a number, yes or no. \
Write the answer only. Where the passages do not say, give your best guess."""

PASSAGE_CHARS = 2_000
"""A document up to this length is given whole; of a longer one the passage that fits best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What an agent is asked."""

    text: str
    documents: tuple[Retrieved, ...] = ()
    """What was retrieved for it."""
    seconds: float = 0.0
    """What making it took; counted as time of tools."""


Prompter = Callable[[Question], Awaitable[Prompt]]
"""Makes what an agent is asked of a question."""


def one_shot(corpus: Corpus, *, top_k: int = 5) -> Prompter:
    """Ask with what one search for the question itself finds.

    Args:
        corpus: What is searched.
        top_k: How many documents are given.
    """

    async def prompter(question: Question) -> Prompt:
        started = time.perf_counter()
        documents = [await _passage(corpus, hit) for hit in await corpus.search(question.question, top_k)]
        passages = "\n\n".join(f"[{document.title}]\n{document.text}" for document in documents)
        return Prompt(
            text=f"Passages:\n\n{passages or '(none were found)'}\n\nQuestion: {question.question}",
            documents=tuple(documents),
            seconds=time.perf_counter() - started,
        )

    return prompter


async def _passage(corpus: Corpus, hit: Hit) -> Retrieved:
    document = await corpus.open(hit.id)
    text = document.text if len(document.text) <= PASSAGE_CHARS else hit.snippet
    return Retrieved(id=hit.id, title=hit.title, text=text)
