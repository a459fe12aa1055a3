"""Messages as a prompt, by the chat template that the GGUF file brings."""

import importlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from agentinfer.errors import LocalModelError, RequestRefused
from agentinfer.sam.engine._native import Llama

__all__ = ["ChatTemplate"]


class ChatTemplate:
    """Renders conversations for one model.

    Raises:
        LocalModelError: The file has no chat template, or one that cannot be read.
    """

    def __init__(self, llama: Llama) -> None:
        template = llama.template()
        if not template:
            raise LocalModelError("the model's file has no chat template: it was not made for conversations")
        formatter: Any = importlib.import_module("llama_cpp.llama_chat_format").Jinja2ChatFormatter
        try:
            self._render = formatter(template=template, **llama.special_texts())
        except Exception as error:  # noqa: BLE001 - jinja2's many ways to refuse a template
            raise LocalModelError(f"the model's chat template cannot be read: {error!r}") from None
        controls = llama.control_texts()
        self._control = re.compile("|".join(map(re.escape, controls))) if controls else None

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The prompt after which the model's reply comes.

        What a message says is text: where it spells a control token, a zero-width space takes the token's meaning.

        Raises:
            RequestRefused: The template does not take such a conversation.
        """
        plain = [{**message, "content": self._plain(message["content"])} for message in messages]
        try:
            return str(self._render(messages=plain).prompt)
        except Exception as error:  # noqa: BLE001 - templates raise what they like
            raise RequestRefused(f"The model's chat template refuses the messages: {error}", status=400) from None

    def _plain(self, content: str) -> str:
        if self._control is None:
            return content
        return self._control.sub(lambda found: f"{found[0][:1]}\u200b{found[0][1:]}", content)
