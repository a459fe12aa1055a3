"""An agent that answers questions from a corpus, ready made."""

import json
from typing import Any

from agentinfer.agent import Agent
from agentinfer.corpus import Corpus
from agentinfer.models import Model
from agentinfer.tools import corpus_tools
from agentinfer.transcript import Message, ToolCall

__all__ = ["EXAMPLE", "INSTRUCTIONS", "search_agent"]

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


def search_agent(model: Model, corpus: Corpus, **settings: Any) -> Agent:
    """An agent with the tools `corpus_search` and `open_document`.

    Args:
        model: Who is asked.
        corpus: What is searched.
        settings: Further arguments of `Agent`; `instructions` and `examples` replace those of this module.
    """
    return Agent(
        model, **{"tools": corpus_tools(corpus), "instructions": INSTRUCTIONS, "examples": EXAMPLE, **settings}
    )
