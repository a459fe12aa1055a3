"""llama.cpp by its low-level API: a model in memory, with one sequence of tokens in its KV cache.

Only what the engine needs of it. All calls block, let other threads run meanwhile, and come from one thread at a time.
"""

import ctypes
import importlib
import os
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentinfer.errors import LocalModelError, MissingExtra

__all__ = ["Llama", "native"]

MAX_PASS = 128
"""Tokens of which one pass gives logits, at most."""
_KEPT = (3, 4)
"""The levels of llama.cpp's log that are kept for messages: warnings and errors."""
_lock = threading.Lock()
_loaded: Any = None
_log: deque[str] = deque(maxlen=6)


def native() -> Any:
    """The module of llama.cpp's functions.

    Raises:
        MissingExtra: llama-cpp-python is not installed.
    """
    global _loaded
    with _lock:
        if _loaded is None:
            # A thread that waits for another one spins unless told otherwise, and the event loop's work, or any other
            # on these cores, then slows every pass several times. It is read once, when the library is loaded.
            told = os.environ.get("OMP_WAIT_POLICY")
            os.environ.setdefault("OMP_WAIT_POLICY", "passive")
            try:
                lib = importlib.import_module("llama_cpp.llama_cpp")
            except ImportError as error:
                raise MissingExtra("llama-cpp", "The engine in the process") from error
            except (OSError, RuntimeError) as error:
                raise LocalModelError(f"llama.cpp's library cannot be loaded: {error}") from error
            finally:
                if told is None:
                    del os.environ["OMP_WAIT_POLICY"]
            lib.llama_backend_init()
            lib.llama_log_set(_keep_log(lib), ctypes.c_void_p(0))
            _loaded = lib
    return _loaded


def _keep_log(lib: Any) -> Any:
    @lib.llama_log_callback  # type: ignore[untyped-decorator]
    def keep(level: int, text: bytes, _: object) -> None:
        if level in _KEPT:
            _log.append(text.decode(errors="replace").strip())

    lib.agentinfer_log = keep  # called as long as the library is there
    return keep


def logged() -> str:
    """The last errors that llama.cpp spoke of, to be put behind a message."""
    return "".join(f"\n  | {line}" for line in _log if line)


class Llama:
    """A loaded model.

    Args:
        path: A GGUF file.
        context: Tokens that the KV cache holds.
        threads: Threads to compute with; llama.cpp's default for `None`.
        gpu_layers: Layers computed on a GPU, where llama.cpp was built for one.
        batch: Tokens of one pass of a prompt.
        exact: Whether a pass over up to seven tokens gives the very logits that single passes give, on a CPU. Above 512
            tokens of context llama.cpp rounds otherwise unless the values of its KV cache are of a type for which it
            has but one way to compute attention: Q8_0. A prompt is then read more slowly the longer the context is.

    Raises:
        LocalModelError: The file is no GGUF file, is damaged, or memory is short.
        MissingExtra: llama-cpp-python is not installed.
    """

    def __init__(
        self,
        path: Path,
        *,
        context: int,
        threads: int | None = None,
        gpu_layers: int = 0,
        batch: int = 128,
        exact: bool = False,
    ) -> None:
        lib = self.lib = native()
        self.numpy: Any = importlib.import_module("numpy")
        self._context: Any = None
        self._batch: Any = None
        self.context = context
        self.batch = batch
        _log.clear()
        settings = lib.llama_model_default_params()
        settings.n_gpu_layers = gpu_layers
        # Weights repacked for batches make passes of four tokens and more round otherwise than single ones, and on a
        # CPU with AVX-512 they halved the speed of a prefill.
        settings.use_extra_bufts = False
        self._model = lib.llama_model_load_from_file(os.fsencode(path), settings)
        if not self._model:
            raise LocalModelError(f"cannot load {path}{logged()}")
        params = lib.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = context, max(batch, MAX_PASS), max(batch, MAX_PASS)
        params.n_seq_max, params.n_outputs_max = 1, MAX_PASS
        if exact:
            params.type_v, params.flash_attn_type = lib.GGML_TYPE_Q8_0, lib.LLAMA_FLASH_ATTN_TYPE_ENABLED
        if threads is not None:
            params.n_threads = params.n_threads_batch = threads
        self._context = lib.llama_init_from_model(self._model, params)
        if not self._context:
            self.close()
            raise LocalModelError(f"no room for a context of {context:,} tokens: use a shorter one{logged()}")
        self._memory = lib.llama_get_memory(self._context)
        self.vocab = lib.llama_model_get_vocab(self._model)
        self.size = int(lib.llama_vocab_n_tokens(self.vocab))
        """Tokens of the vocabulary."""
        self.rewinds = not (lib.llama_model_is_recurrent(self._model) or lib.llama_model_is_hybrid(self._model))
        """Whether what was decoded can be taken back; recurrent models cannot."""
        self._batch = lib.llama_batch_init(max(batch, MAX_PASS), 0, 1)
        for at in range(max(batch, MAX_PASS)):
            self._batch.n_seq_id[at], self._batch.seq_id[at][0] = 1, 0

    @property
    def handle(self) -> Any:
        """llama.cpp's own context."""
        return self._context

    def template(self) -> str:
        """The chat template in the file, empty where there is none."""
        return (self.lib.llama_model_chat_template(self._model, None) or b"").decode(errors="replace")

    def special_texts(self) -> Mapping[str, str]:
        """The texts of the tokens that begin and end a sequence, as templates want them."""
        ends = {"bos_token": self.lib.llama_vocab_bos(self.vocab), "eos_token": self.lib.llama_vocab_eos(self.vocab)}
        return {name: self._text(token) if token >= 0 else "" for name, token in ends.items()}

    def control_texts(self) -> list[str]:
        """The texts of all control tokens, such as `<|im_end|>`."""
        controls = (token for token in range(self.size) if self.lib.llama_vocab_is_control(self.vocab, token))
        return sorted(filter(None, map(self._text, controls)), key=len, reverse=True)

    def _text(self, token: int) -> str:
        return (self.lib.llama_vocab_get_text(self.vocab, token) or b"").decode(errors="replace")

    def tokenize(self, text: str) -> list[int]:
        """The tokens of a prompt in which control tokens stand by their names."""
        data = text.encode(errors="replace")
        room = len(data) + 8
        tokens = (self.lib.llama_token * room)()
        begins = self.lib.llama_vocab_get_add_bos(self.vocab) and not text.startswith(self.special_texts()["bos_token"])
        found = self.lib.llama_tokenize(self.vocab, data, len(data), tokens, room, bool(begins), True)
        return list(tokens[:found])

    def piece(self, token: int) -> bytes:
        """The bytes of a token; none for a control token."""
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            length = self.lib.llama_token_to_piece(self.vocab, token, buffer, room, 0, False)
            if length >= 0:
                return buffer.raw[:length]
            room = -length

    def is_end(self, token: int) -> bool:
        """Whether a token ends what the model writes."""
        return bool(self.lib.llama_vocab_is_eog(self.vocab, token))

    def decode(self, tokens: Sequence[int], start: int, *, logits: int = 0) -> None:
        """One forward pass.

        Args:
            tokens: What follows on the KV cache.
            start: The position of the first one.
            logits: After how many of the last tokens the logits are wanted.

        Raises:
            LocalModelError: It failed; what the KV cache holds from `start` on is unknown.
        """
        batch, silent = self._batch, len(tokens) - logits
        for at, token in enumerate(tokens):
            batch.token[at], batch.pos[at], batch.logits[at] = token, start + at, at >= silent
        batch.n_tokens = len(tokens)
        status = self.lib.llama_decode(self._context, batch)
        if status:
            raise LocalModelError(f"llama.cpp could not decode {len(tokens)} tokens: status {status}{logged()}")

    def wait(self) -> None:
        """Wait until the pass is computed, as reading its logits does."""
        self.lib.llama_synchronize(self._context)

    def logits(self, at: int) -> Any:
        """The logits after token `at` of the last pass: a numpy array that the next pass overwrites."""
        pointer = self.lib.llama_get_logits_ith(self._context, at)
        return self.numpy.ctypeslib.as_array(pointer, shape=(self.size,))

    def forget(self, start: int) -> bool:
        """Take back all tokens from a position on.

        Returns:
            Whether that could be done; a recurrent model forgets everything or nothing.
        """
        return bool(self.lib.llama_memory_seq_rm(self._memory, 0, start, -1))

    def clear(self) -> None:
        """Empty the KV cache."""
        self.lib.llama_memory_clear(self._memory, True)

    def close(self) -> None:
        """Free the memory; safe to call again."""
        if self._batch is not None:
            self.lib.llama_batch_free(self._batch)
        if self._context:
            self.lib.llama_free(self._context)
        if self._model:
            self.lib.llama_model_free(self._model)
        self._batch = self._context = self._model = None
