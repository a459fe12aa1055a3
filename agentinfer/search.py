"""An agent that answers questions from a corpus, ready made."""

import dataclasses
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from agentinfer.agent import Agent
from agentinfer.corpus import Corpus
from agentinfer.models import Completion, Model, ModelRequest
from agentinfer.protocol import Reply
from agentinfer.run import Run
from agentinfer.step import Middleware, ModelHandler, Plugin, ToolHandler
from agentinfer.tools import ToolResult, corpus_tools
from agentinfer.transcript import Message, ToolCall
from agentinfer.usage import Usage

__all__ = ["EXAMPLE", "INSTRUCTIONS", "RestateQuestion", "SearchFirst", "search_agent"]

MAX_RESTATED = 400
"""Characters of a question that is short enough to be repeated."""

INSTRUCTIONS = """\
You answer questions from a document collection, which you search. Each search finds one fact; what you found is what \
you search for next. Search for names and facts in a few words. In each thought, say what the last result told you and \
what you need next. Never make a search twice: change its words. Answer from what the documents say, as shortly as \
possible: a name, a date, a number, yes or no."""


def _searched(number: int, thought: str, query: str, *hits: str) -> tuple[Message, Message]:
    """One step of the example."""
    call = ToolCall(id=f"example_{number}", name="corpus_search", arguments=json.dumps({"query": query}))
    return Message.assistant(thought, tool_calls=[call]), Message.tool(call, "\n\n".join(hits), trust="instruction")


EXAMPLE = (
    Message.user("In which town was the wife of the inventor of the Harrow lamp born?"),
    *_searched(
        1,
        "I need the inventor of the Harrow lamp.",
        "Harrow lamp inventor",
        "[12] Harrow lamp\nThe Harrow lamp is a miner's lamp of 1843, an invention of Edwin Marrow.",
        "[40] Harrow (tool)\nA harrow is a farm implement that breaks up the surface of the soil.",
    ),
    *_searched(
        2,
        "Edwin Marrow invented the Harrow lamp. I need his wife.",
        "Edwin Marrow wife",
        "[77] Bone marrow\nBone marrow is the soft tissue inside bones.",
        "[31] Ada Linton\nAda Linton (1809-1871) was a painter. In 1830 she became the wife of Edwin Marrow.",
    ),
    *_searched(
        3,
        "Edwin Marrow's wife was Ada Linton. I need the town where she was born.",
        "Ada Linton born",
        "[32] Linton family\nThe painter Ada Linton and her brother were born in Tolverne.",
    ),
    Message.assistant("Tolverne", reasoning="Ada Linton was born in Tolverne. That is the answer."),
)
"""One question answered in three searches, for models that learn more from seeing than from being told. All of it is
invented, so that none of it is taken for the answer to another question."""


class SearchFirst:
    """Begins a conversation with a search for the question itself: a step for which no model has to be asked.

    Args:
        tool: The name of the tool that searches; its argument is `query`.
    """

    def __init__(self, tool: str = "corpus_search") -> None:
        self._tool = tool

    @asynccontextmanager
    async def bind(self, run: Run) -> AsyncIterator[Middleware]:
        """What stands in for the model in the first step of a conversation, and does nothing later."""
        yield Middleware() if run.goes_on else _SearchFirst(run, self._tool)


class _SearchFirst(Middleware):
    def __init__(self, run: Run, tool: str) -> None:
        self._question = run.question
        self._tool = tool
        self._first = True

    async def model(self, request: ModelRequest, handler: ModelHandler) -> Completion:
        first, self._first = self._first, False
        if not first or self._tool not in request.tools or request.choice == "none":
            return await handler(request)
        call = ToolCall(id="first_search", name=self._tool, arguments=json.dumps({"query": self._question}))
        message = Message.assistant("I search for the question itself.", tool_calls=[call])
        return Completion(reply=Reply(message=message), finish_reason=None, usage=Usage(), model=request.model.name)


class RestateQuestion:
    """Puts the question again after what a tool returned.

    Small models answer with the last name they have read, not with what was asked for, where the question stands far
    above. A question of over 400 characters is not repeated.
    """

    @asynccontextmanager
    async def bind(self, run: Run) -> AsyncIterator[Middleware]:
        """What adds to the results of one run."""
        yield _RestateQuestion(run.question) if len(run.question) <= MAX_RESTATED else Middleware()


class _RestateQuestion(Middleware):
    def __init__(self, question: str) -> None:
        self._question = question

    async def tool(self, call: ToolCall, handler: ToolHandler) -> ToolResult:
        result = await handler(call)
        if result.outcome != "ok":
            return result
        return dataclasses.replace(result, content=f"{result.content}\n\nThe question is still: {self._question}")


def search_agent(model: Model, corpus: Corpus, *, plugins: Sequence[Plugin] = (), **settings: Any) -> Agent:
    """An agent with the tools `corpus_search` and `open_document`.

    It begins with a search for the question itself (`SearchFirst`), and repeats the question after each result
    (`RestateQuestion`).

    Args:
        model: Who is asked.
        corpus: What is searched.
        plugins: Further plug-ins, outermost first; they stand inside of the two.
        settings: Further arguments of `Agent`; `instructions` and `examples` replace those of this module.
    """
    defaults = {"tools": corpus_tools(corpus), "instructions": INSTRUCTIONS, "examples": EXAMPLE}
    return Agent(model, **{**defaults, **settings}, plugins=(SearchFirst(), RestateQuestion(), *plugins))
