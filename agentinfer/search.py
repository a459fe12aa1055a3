"""An agent that answers questions from a corpus, ready made."""

from typing import Any

from agentinfer.agent import Agent
from agentinfer.corpus import Corpus
from agentinfer.models import Model
from agentinfer.tools import corpus_tools

__all__ = ["INSTRUCTIONS", "search_agent"]

INSTRUCTIONS = """\
You answer questions from a document collection, which you search.
A question often needs several searches: find the first fact, then search for the next one with what you have found.
For example, "When was the birthplace of the director of Jaws founded?" takes three: who directed Jaws, where that \
person was born, when that town was founded.
Search for names and facts, in a few words. Do not repeat a search that was made: change its words.
Answer from what the documents say. When you know the answer, give it at once, as short as possible: \
a name, a date, a number, yes or no."""


def search_agent(model: Model, corpus: Corpus, **settings: Any) -> Agent:
    """An agent with the tools `corpus_search` and `open_document`.

    Args:
        model: Who is asked.
        corpus: What is searched.
        settings: Further arguments of `Agent`; `instructions` replaces those of this module.
    """
    return Agent(model, **{"tools": corpus_tools(corpus), "instructions": INSTRUCTIONS, **settings})
