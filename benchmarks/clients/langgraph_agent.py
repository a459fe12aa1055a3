# mypy: ignore-errors
"""langgraph's prebuilt agent, over langchain-openai."""

from contextlib import asynccontextmanager

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.prebuilt import create_react_agent

from benchmarks.clients.harness import INSTRUCTIONS, QUESTION, look_up, measure


@tool
async def lookup(record: int) -> str:
    """Look up one record by its number."""
    return look_up(record)


@asynccontextmanager
async def opened(base_url):
    model = ChatOpenAI(model="scripted", base_url=base_url, api_key="none")
    graph = create_react_agent(model, [lookup], prompt=INSTRUCTIONS)

    async def ask():
        state = await graph.ainvoke({"messages": [("user", QUESTION)]}, {"recursion_limit": 10_000})
        return state["messages"][-1].content

    yield ask


if __name__ == "__main__":
    measure(opened)
