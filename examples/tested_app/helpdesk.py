"""A small app with an agent inside: a help desk that knows where orders are."""

from agentinfer import Agent, Limits, Model, ToolError, tool

ORDERS = {"A17": "on its way, arrives on Monday", "B20": "delivered on 3 May"}
SORRY = "We cannot look this up at the moment. A colleague will write to you."


@tool(bounded=True)  # short results: the model needs no way to read on
def order_status(number: str) -> str:
    """Where an order is. number: the order's number, such as A17."""
    if number not in ORDERS:
        raise ToolError(f"There is no order {number}. Ask for the number again.")
    return ORDERS[number]


async def reply_to(letter: str, model: Model) -> str:
    """What to write to a customer, whatever becomes of the model."""
    agent = Agent(
        model,
        tools=[order_status],
        instructions="You answer letters to a shop, in one or two sentences.",
        limits=Limits(steps=5, seconds=60),
    )
    result = await agent.run(letter)
    return result.answer or SORRY
