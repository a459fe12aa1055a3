"""How a model's next token is chosen: the likeliest or a drawn one, of those that a grammar allows."""

import ctypes
import importlib
import json
from collections.abc import Mapping
from typing import Any

from agentinfer.errors import RequestRefused
from agentinfer.sam.engine._native import Llama, logged

__all__ = ["Chooser", "grammar_of"]

LIKELIEST = 128
"""Tokens shown to a grammar before all are."""
ANY, VALID = r'[^"\\]', r'[^"\\\x7F\x00-\x1F]'
"""The characters of a string: JSON knows no bare line breaks in them, llama-cpp-python's grammars do."""
_NEVER = float("-inf")
TOKEN_DATA = [("id", "i4"), ("logit", "f4"), ("p", "f4")]
"""llama.cpp's `llama_token_data`."""


def grammar_of(schema: Mapping[str, Any]) -> str:
    """The GBNF grammar of what fits a JSON schema.

    Raises:
        RequestRefused: The schema is none, or uses what grammars cannot say.
    """
    convert: Any = importlib.import_module("llama_cpp.llama_grammar").json_schema_to_gbnf
    try:
        grammar = convert(json.dumps(schema))
    except Exception as error:  # noqa: BLE001 - whatever it stumbles over is in the schema
        raise RequestRefused(f"The JSON schema cannot be made a grammar: {error!r}", status=400) from None
    return str(grammar).replace(ANY, VALID)


class Chooser:
    """Chooses tokens, in order, for one text.

    Args:
        llama: The model.
        temperature: 0 takes the likeliest.
        top_p: The share of probability that tokens are drawn from, 0 to 1.
        seed: For draws that repeat.
        grammar: GBNF that the text has to follow.

    Raises:
        RequestRefused: llama.cpp does not take the grammar.
    """

    def __init__(
        self,
        llama: Llama,
        *,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        grammar: str | None = None,
    ) -> None:
        self._llama = llama
        self._grammar: Any = None
        self._draws: Any = None
        lib = llama.lib
        if grammar is not None:
            self._grammar = lib.llama_sampler_init_grammar(llama.vocab, grammar.encode(), b"root")
            if not self._grammar:
                raise RequestRefused(f"llama.cpp does not take the grammar of the JSON schema{logged()}", status=400)
        if temperature > 0:
            self._draws = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
            lib.llama_sampler_chain_add(self._draws, lib.llama_sampler_init_top_p(top_p, 1))
            lib.llama_sampler_chain_add(self._draws, lib.llama_sampler_init_temp(temperature))
            drawn = lib.LLAMA_DEFAULT_SEED if seed is None else seed % 2**32
            lib.llama_sampler_chain_add(self._draws, lib.llama_sampler_init_dist(drawn))

    def choose(self, at: int) -> int:
        """The token after token `at` of the last pass; the next choice follows on it."""
        lib, llama = self._llama.lib, self._llama
        logits = llama.logits(at)
        token = int(logits.argmax()) if self._draws is None else lib.llama_sampler_sample(self._draws, llama.handle, at)
        if self._grammar is not None:
            if not len(self._allowed([token], logits)):
                token = self._constrained(logits)
            lib.llama_sampler_accept(self._grammar, token)
        return int(token)

    def _constrained(self, logits: Any) -> int:
        """A token that the grammar allows, where the first choice is none. The distribution is that of the allowed."""
        if self._draws is not None:
            shown, _ = self._shown(None, logits)
            self._llama.lib.llama_sampler_apply(self._grammar, ctypes.byref(shown))
            self._llama.lib.llama_sampler_apply(self._draws, ctypes.byref(shown))
            if shown.selected >= 0 and shown.data[shown.selected].logit > _NEVER:
                return int(shown.data[shown.selected].id)
        else:
            for tokens in (logits.argpartition(-LIKELIEST)[-LIKELIEST:], None):
                allowed = self._allowed(tokens, logits)
                if len(allowed):
                    return int(allowed[logits[allowed].argmax()])
        raise RequestRefused("The grammar of the JSON schema leaves the model no token to write", status=400)

    def _allowed(self, tokens: Any, logits: Any) -> Any:
        """Those of the tokens that the grammar allows."""
        shown, data = self._shown(tokens, logits)
        self._llama.lib.llama_sampler_apply(self._grammar, ctypes.byref(shown))
        return data["id"][data["logit"] > _NEVER]

    def _shown(self, tokens: Any, logits: Any) -> tuple[Any, Any]:
        """Tokens as samplers take them, and the array in which they mark them; all for `None`."""
        numpy, lib = self._llama.numpy, self._llama.lib
        data = numpy.zeros(len(logits) if tokens is None else len(tokens), TOKEN_DATA)
        data["id"] = numpy.arange(len(logits)) if tokens is None else tokens
        data["logit"] = logits if tokens is None else logits[tokens]
        pointer = data.ctypes.data_as(lib.llama_token_data_p)
        return lib.llama_token_data_array(pointer, len(data), -1, False), data

    def close(self) -> None:
        """Free the samplers; safe to call again."""
        for sampler in filter(None, (self._grammar, self._draws)):
            self._llama.lib.llama_sampler_free(sampler)
        self._grammar = self._draws = None
