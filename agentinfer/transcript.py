"""History as bytes: immutable messages, the append-only transcript, and the view that is sent.

A message is serialised once per codec (a codec is one way to write messages for one kind of endpoint). A view shares
storage with the view it grew from, so that appending to it, counting its tokens and hashing its prefix cost what is
new, and a request body is the join of bytes that already exist.
"""

import dataclasses
import hashlib
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, overload

__all__ = ["Codec", "Encoded", "Message", "Role", "ToolCall", "Trust", "View"]

Role = Literal["system", "user", "assistant", "tool"]

Trust = Literal["instruction", "data"]
"""Whether a text may tell the model what to do, or is material from a tool or a page."""

BLOCK_BYTES = 1024
"""A long message is hashed in blocks of this size, so that a change at its end leaves its beginning known."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One tool call, as the model asked for it."""

    id: str
    """Unique within the run; results refer to it."""
    name: str
    arguments: str
    """The arguments as JSON text. The model wrote it, so it may be anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One entry of the history. The classmethods `system`, `user`, `assistant` and `tool` make the usual ones."""

    role: Role
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    """What an assistant message asks for."""
    tool_call_id: str | None = None
    """The call that a tool message answers."""
    name: str | None = None
    """The tool that a tool message comes from."""
    reasoning: str | None = None
    """What the model thought before it wrote `content`."""
    raw: str | None = None
    """The text of an assistant message exactly as the model wrote it under `protocol`; sent back unchanged, since the
    endpoint's prefix cache holds these very tokens."""
    protocol: str | None = None
    trust: Trust = "instruction"
    stands_for: tuple[int, int] | None = None
    """The transcript positions (start, end) that this message replaces in a view; `None`: it stands for itself."""
    _encodings: dict[Hashable, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def system(cls, content: str) -> "Message":
        """What the agent is told once, at the start."""
        return cls(role="system", content=content)

    @classmethod
    def user(cls, content: str, *, trust: Trust = "instruction") -> "Message":
        """What a person, or the runtime, tells the model."""
        return cls(role="user", content=content, trust=trust)

    @classmethod
    def assistant(
        cls, content: str = "", *, tool_calls: Iterable[ToolCall] = (), reasoning: str | None = None
    ) -> "Message":
        """What the model wrote."""
        return cls(role="assistant", content=content, tool_calls=tuple(tool_calls), reasoning=reasoning)

    @classmethod
    def tool(cls, call: ToolCall, content: str, *, trust: Trust = "data") -> "Message":
        """The result of one tool call."""
        return cls(role="tool", content=content, tool_call_id=call.id, name=call.name, trust=trust)

    def to_dict(self) -> dict[str, Any]:
        """This message as JSON-able data; what has its default is left out."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}
        plain = {name: value for name, value in fields.items() if value not in (None, (), "")}
        if self.tool_calls:
            plain["tool_calls"] = [dataclasses.asdict(call) for call in self.tool_calls]
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Message":
        """The message that `to_dict` made this of."""
        fields = dict(data)
        fields["tool_calls"] = tuple(ToolCall(**call) for call in data.get("tool_calls", ()))
        if fields.get("stands_for"):
            fields["stands_for"] = tuple(fields["stands_for"])
        return cls(**fields)

    def encoded(self, codec: "Codec", *, leading: bool) -> bytes:
        """This message as JSON bytes, written once per codec."""
        key = (codec.key, leading)
        encoding = self._encodings.get(key)
        if encoding is None:
            encoding = self._encodings[key] = codec.encode(self, leading=leading)
        return encoding


class Codec(Protocol):
    """One way to write messages for one kind of endpoint."""

    @property
    def key(self) -> Hashable:
        """Equal for codecs that write the same bytes and count the same tokens."""

    def encode(self, message: Message, *, leading: bool) -> bytes:
        """The message as JSON bytes; `leading` tells whether it is the first of its request."""

    def count(self, encoding: bytes) -> float:
        """How many tokens these bytes are, before calibration."""


class View(Sequence[Message]):
    """An immutable sequence of messages: what is sent, or the whole transcript.

    `append` returns a longer view that shares its storage with this one, so its cost is that of the new messages.
    """

    __slots__ = ("_length", "_log")

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        self._log = _Log(list(messages))
        self._length = len(self._log.messages)

    def append(self, *messages: Message) -> "View":
        """A view with these messages at its end; this one stays as it is."""
        log, length = self._log, self._length
        if len(log.messages) != length:  # another view has grown from this one already: take a branch
            log = _Log(log.messages[:length], {key: done.upto(length) for key, done in log.encodings.items()})
        log.messages.extend(messages)
        longer = View.__new__(View)
        longer._log, longer._length = log, length + len(messages)
        return longer

    def shares_storage(self, other: "View") -> bool:
        """Whether both views grew from one, so that the shorter is the beginning of the longer."""
        return self._log is other._log

    def encoded(self, codec: Codec) -> "Encoded":
        """The bytes, token counts and hashes of this view under `codec`; only what is new is computed."""
        encoding = self._log.encodings.get(codec.key)
        if encoding is None:
            encoding = self._log.encodings[codec.key] = _Encoding()
        encoding.extend(codec, self._log.messages, self._length)
        return Encoded(encoding, self._length)

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Message, ...]: ...
    def __getitem__(self, index: int | slice) -> Message | tuple[Message, ...]:
        if isinstance(index, slice):
            return tuple(self._log.messages[: self._length][index])
        if not -self._length <= index < self._length:
            raise IndexError(index)
        return self._log.messages[index % self._length]

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Message]:
        messages = self._log.messages
        return (messages[position] for position in range(self._length))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, View):
            return NotImplemented
        if self._log is other._log:
            return self._length == other._length
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<View of {self._length} messages>"


@dataclass(slots=True)
class _Log:
    """The storage that views share: it only ever grows."""

    messages: list[Message]
    encodings: dict[Hashable, "_Encoding"] = field(default_factory=dict)


@dataclass(slots=True)
class _Encoding:
    """What one codec made of the messages of a log so far."""

    parts: list[bytes] = field(default_factory=list)
    tokens: list[float] = field(default_factory=lambda: [0.0])
    """`tokens[n]`: of the first n messages."""
    digests: list[bytes] = field(default_factory=list)
    """`digests[b]` identifies everything up to the end of block b."""
    block_tokens: list[float] = field(default_factory=list)
    """`block_tokens[b]`: up to the end of block b."""
    blocks: list[int] = field(default_factory=lambda: [0])
    """`blocks[n]`: how many blocks the first n messages have."""

    def upto(self, length: int) -> "_Encoding":
        """A copy for a branch that shares the first messages: what was counted is not counted again."""
        length = min(length, len(self.parts))
        blocks = self.blocks[length]
        return _Encoding(
            self.parts[:length],
            self.tokens[: length + 1],
            self.digests[:blocks],
            self.block_tokens[:blocks],
            self.blocks[: length + 1],
        )

    def extend(self, codec: Codec, messages: list[Message], length: int) -> None:
        for position in range(len(self.parts), length):
            part = messages[position].encoded(codec, leading=position == 0)
            self._hash(part, codec.count(part))
            self.parts.append(part)

    def _hash(self, part: bytes, tokens: float) -> None:
        before = self.tokens[-1]
        digest = self.digests[-1] if self.digests else b""
        for start in range(0, len(part), BLOCK_BYTES):
            block = part[start : start + BLOCK_BYTES]
            digest = hashlib.blake2b(block, key=digest, digest_size=16).digest()
            self.digests.append(digest)
            self.block_tokens.append(before + tokens * (start + len(block)) / len(part))
        self.tokens.append(before + tokens)
        self.blocks.append(len(self.digests))


@dataclass(frozen=True, slots=True)
class Encoded:
    """A view as one codec writes it."""

    _encoding: _Encoding
    _length: int

    @property
    def parts(self) -> list[bytes]:
        """One JSON object per message."""
        return self._encoding.parts[: self._length]

    @property
    def tokens(self) -> float:
        """The tokens of the whole view, before calibration."""
        return self._encoding.tokens[self._length]

    def tokens_of(self, messages: int) -> float:
        """The tokens of the first so many messages, before calibration."""
        return self._encoding.tokens[min(messages, self._length)]

    @property
    def blocks(self) -> int:
        """How many blocks the view has."""
        return self._encoding.blocks[self._length]

    @property
    def digests(self) -> list[bytes]:
        """One digest per block; shared with longer views of the same history, so it may go on past `blocks`."""
        return self._encoding.digests

    def digest(self, block: int) -> bytes:
        """What identifies everything up to the end of a block."""
        return self._encoding.digests[block]

    def tokens_up_to(self, blocks: int) -> float:
        """The tokens of the first `blocks` blocks, before calibration."""
        return self._encoding.block_tokens[blocks - 1] if blocks else 0.0
