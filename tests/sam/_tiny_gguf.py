"""A GGUF file of a few kilobytes: random weights, a vocabulary of bytes, a chat template. It writes nonsense, fast."""

import random
import struct
from array import array
from pathlib import Path
from typing import Any

WIDTH, LAYERS, HEADS, HIDDEN, ALIGN = 64, 2, 4, 128, 32
SPECIAL = ("<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)


def tokens() -> list[str]:
    """The bytes, as byte-level BPE spells them, and the control tokens."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spelled = {byte: chr(byte) for byte in plain}
    for number, byte in enumerate(byte for byte in range(256) if byte not in spelled):
        spelled[byte] = chr(256 + number)
    return [*(spelled[byte] for byte in range(256)), "th", *SPECIAL]


def write_tiny(path: Path, *, seed: int = 3, template: str | None = TEMPLATE) -> Path:
    """Write such a file."""
    vocabulary = tokens()
    end = len(vocabulary) - 1
    about: dict[str, Any] = {
        "general.architecture": "llama",
        "llama.context_length": 4096,
        "llama.embedding_length": WIDTH,
        "llama.block_count": LAYERS,
        "llama.feed_forward_length": HIDDEN,
        "llama.attention.head_count": HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": vocabulary,
        "tokenizer.ggml.token_type": [3 if token in SPECIAL else 1 for token in vocabulary],
        "tokenizer.ggml.merges": ["t h"],
        "tokenizer.ggml.eos_token_id": end,
        "tokenizer.ggml.add_bos_token": False,
    }
    if template is not None:
        about["tokenizer.chat_template"] = template
    shapes = {"token_embd": (WIDTH, len(vocabulary)), "output_norm": (WIDTH,), "output": (WIDTH, len(vocabulary))}
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            shapes[f"blk.{layer}.{name}"] = (WIDTH, WIDTH)
        shapes |= {f"blk.{layer}.ffn_gate": (WIDTH, HIDDEN), f"blk.{layer}.ffn_up": (WIDTH, HIDDEN)}
        shapes |= {f"blk.{layer}.ffn_down": (HIDDEN, WIDTH)}
        shapes |= {f"blk.{layer}.attn_norm": (WIDTH,), f"blk.{layer}.ffn_norm": (WIDTH,)}
    draw = random.Random(seed)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(about))
    head += b"".join(_text(key) + _value(value) for key, value in about.items())
    data = b""
    for name, shape in shapes.items():
        dims = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        head += _text(f"{name}.weight") + dims + struct.pack("<IQ", 0, len(data))
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        weights = [1.0] * count if len(shape) == 1 else [draw.gauss(0, 0.2) for _ in range(count)]
        data += array("f", weights).tobytes()
        data += b"\0" * (-len(data) % ALIGN)
    path.write_bytes(head + b"\0" * (-len(head) % ALIGN) + data)
    return path


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> bytes:
    if isinstance(value, list):
        items = [_plain(item, 5) for item in value]
        return struct.pack("<IIQ", 9, items[0][0], len(items)) + b"".join(item for _, item in items)
    kind, data = _plain(value, 4)
    return struct.pack("<I", kind) + data


def _plain(value: Any, whole: int) -> tuple[int, bytes]:
    """The kind of a value in GGUF, and its bytes; `whole` is the kind of whole numbers, signed (5) or not (4)."""
    if isinstance(value, bool):
        return 7, struct.pack("<?", value)
    if isinstance(value, int):
        return whole, struct.pack("<I", value)
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    return 8, _text(value)
