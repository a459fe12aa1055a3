# mypy: ignore-errors
"""The bare loop over the openai SDK."""

import json
from contextlib import asynccontextmanager

import openai

from benchmarks.clients.harness import INSTRUCTIONS, LOOKUP, QUESTION, look_up, measure


@asynccontextmanager
async def opened(base_url):
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none") as client:

        async def ask():
            messages = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": QUESTION}]
            while True:
                answer = await client.chat.completions.create(model="scripted", messages=messages, tools=[LOOKUP])
                message = answer.choices[0].message
                messages.append(message.model_dump(exclude_none=True))
                if not message.tool_calls:
                    return message.content
                for call in message.tool_calls:
                    result = look_up(**json.loads(call.function.arguments))
                    messages.append({"role": "tool", "tool_call_id": call.id, "content": result})

        yield ask


if __name__ == "__main__":
    measure(opened)
