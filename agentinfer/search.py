"""An agent that answers questions from a corpus, ready made."""

from typing import Any

from agentinfer.agent import Agent
from agentinfer.corpus import Corpus
from agentinfer.models import Model
from agentinfer.tools import corpus_tools

__all__ = ["INSTRUCTIONS", "search_agent"]

INSTRUCTIONS = """\
You answer questions from a document collection, which you search. Each search finds one fact; what you found is what \
you search for next. An example, for "Who is the wife of the director of Jaws?":
search "Jaws film director", found: Steven Spielberg directed Jaws
search "Steven Spielberg wife", found: he married Kate Capshaw
answer "Kate Capshaw"
Search for names and facts in a few words. Never make a search twice: change its words. Answer from what the \
documents say, as shortly as possible: a name, a date, a number, yes or no."""


def search_agent(model: Model, corpus: Corpus, **settings: Any) -> Agent:
    """An agent with the tools `corpus_search` and `open_document`.

    Args:
        model: Who is asked.
        corpus: What is searched.
        settings: Further arguments of `Agent`; `instructions` replaces those of this module.
    """
    return Agent(model, **{"tools": corpus_tools(corpus), "instructions": INSTRUCTIONS, **settings})
