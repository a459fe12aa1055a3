"""The prefix ledger: what a prompt costs, given what the endpoints have cached.

A server keeps the work it did for a prompt, and a later prompt with the same beginning need not pay for that again.
The ledger knows, for each lane, which prefixes were sent and when. That is a hypothesis: the cached tokens a server
reports correct it. Whoever wants to change what is sent asks for the price first.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from agentinfer.models import Completion, ModelRequest
from agentinfer.transcript import Encoded

__all__ = ["Lane", "Ledger", "PrefixLoss", "Price"]


@dataclass(frozen=True, slots=True)
class Lane:
    """Requests that can share a prefix: one endpoint, model, tool list, and way of writing messages."""

    endpoint: str
    model: str
    tools: bytes
    """Digest of the tool list, which servers place before the messages."""
    codec: Hashable


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What sending a prompt would cost. `None` is unknown."""

    prompt_tokens: int
    """Tokens of the whole prompt, tools included."""
    uncached_tokens: int
    """Tokens the endpoint has to read anew."""
    seconds: float | None
    """Until the first token, from this lane's measured prefill speed."""
    cost: float | None
    """Of the prompt, in the currency of the model's pricing."""
    age_seconds: float | None
    """Since the cached part was last sent; `None`: nothing is cached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixLoss:
    """A request that did not continue what its trunk had sent in this lane before."""

    lane: Lane
    lost_tokens: int
    """Tokens that had been sent, and now have to be read anew."""
    reason: str | None
    """What the ledger itself can tell: that the tool list or the way of writing changed."""


@dataclass(slots=True)
class _Trunk:
    """The longest prompt that one caller has sent in a lane; later prompts should continue it."""

    digests: list[bytes]
    """Shared with the encoding, which only grows; the first `count` were sent."""
    count: int
    tokens: float
    last_sent: float
    lenders: list["_Trunk"] = field(default_factory=list)
    """Trunks that brought blocks this one shares: sending this one sends those again."""


@dataclass(slots=True)
class _LaneState:
    trunks: OrderedDict[str, _Trunk] = field(default_factory=OrderedDict)
    blocks: dict[bytes, _Trunk] = field(default_factory=dict)
    """Which trunk brought a block."""
    reliability: float = 1.0
    """Cached tokens reported per cached token expected, 0 to 1: a moving average."""
    prefill_rate: float | None = None
    """Tokens per second, a moving average."""


class Ledger:
    """What each lane has seen.

    Args:
        lifetime: Seconds after which a server is taken to have dropped a prefix nobody used.
        max_blocks: Blocks (about 1 KiB of prompt each) remembered in all; the longest unused go first.
        clock: The time in seconds.
    """

    def __init__(
        self, *, lifetime: float = 600.0, max_blocks: int = 200_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.lifetime = lifetime
        self.max_blocks = max_blocks
        self._clock = clock
        self._lanes: dict[Lane, _LaneState] = {}
        self._last_lane: OrderedDict[tuple[str, str, str], Lane] = OrderedDict()
        """(trunk, endpoint, model): the lane last used."""
        self._block_count = 0
        self._trunk_count = 0

    @staticmethod
    def lane(request: ModelRequest) -> Lane:
        """The lane a request belongs to."""
        model = request.model
        return Lane(model.endpoint, model.name, request.tools.digest, request.codec.key)

    def price(self, request: ModelRequest) -> Price:
        """What sending this request would cost now. Costs as much as the part that is new to the encoder."""
        encoded, model = request.encoded, request.model
        state = self._lanes.get(self.lane(request))
        raw = request.raw_tokens
        total = model.counter.calibrate(raw)
        cached, age, rate = 0, None, None
        if state is not None:
            blocks, age = self._match(state, encoded)
            known = encoded.tokens_up_to(blocks) + (raw - encoded.tokens if blocks else 0)  # tools are sent first
            cached = min(round(model.counter.calibrate(known) * state.reliability), total)
            rate = state.prefill_rate
        uncached = total - cached
        return Price(
            prompt_tokens=total,
            uncached_tokens=uncached,
            seconds=uncached / rate if rate else None,
            cost=model.pricing.cost(total, cached, 0) if model.pricing else None,
            age_seconds=age,
        )

    def hit_share(self, request: ModelRequest) -> float:
        """The share of a prompt sent one turn ago that the endpoint is expected to have still, 0 to 1.

        Unlike `price` it does not depend on whether this very prompt was sent before: it says what turns to come will
        pay. 0 where prompts like this one come so seldom that the endpoint forgets them in between.
        """
        state, encoded = self._lanes.get(self.lane(request)), request.encoded
        if state is None:
            return 1.0
        first = state.blocks.get(encoded.digest(0)) if encoded.blocks else None
        forgotten = first is not None and self._clock() - first.last_sent > self.lifetime
        return 0.0 if forgotten else state.reliability

    def sent(self, request: ModelRequest, trunk: str) -> PrefixLoss | None:
        """Note that a request is being sent.

        Args:
            request: The request.
            trunk: Who sends it: requests of one trunk are expected to continue each other.

        Returns:
            What was lost, where this request does not continue the trunk's last one.
        """
        lane, encoded = self.lane(request), request.encoded
        loss = self._moved(lane, trunk, request)
        state = self._lanes.setdefault(lane, _LaneState())
        known = state.trunks.get(trunk)
        if known is not None:
            common = _common(known, encoded)
            if common < known.count:
                lost = request.model.counter.calibrate(known.tokens - encoded.tokens_up_to(common))
                loss = PrefixLoss(lane=lane, lost_tokens=lost, reason=loss.reason if loss else None)
        self._remember(state, trunk, known, encoded)
        return loss

    def answered(self, request: ModelRequest, completion: Completion, price: Price) -> None:
        """Learn from what the endpoint reported.

        Args:
            request: What was sent.
            completion: What came back.
            price: What `price` had said before `sent`.
        """
        state = self._lanes.get(self.lane(request))
        if state is None:
            return
        usage = completion.usage
        expected = price.prompt_tokens - price.uncached_tokens
        if usage.cached_tokens is not None and expected >= 32 and not usage.estimated_calls:
            # `expected` holds the reliability already: compare with what it would have been without.
            share = min(usage.cached_tokens / (expected / state.reliability), 1.0)
            state.reliability = max(0.5 * state.reliability + 0.5 * share, 0.05)
        uncached = price.uncached_tokens if usage.cached_tokens is None else usage.prompt_tokens - usage.cached_tokens
        if completion.first_token_seconds and uncached >= 32:
            rate = uncached / completion.first_token_seconds
            state.prefill_rate = rate if state.prefill_rate is None else 0.7 * state.prefill_rate + 0.3 * rate

    def _match(self, state: _LaneState, encoded: Encoded) -> tuple[int, float | None]:
        """How many leading blocks the endpoint should have, and how long ago they were last sent.

        A block's digest covers all before it, so a known block implies that those before it are known: bisection.
        """
        now = self._clock()
        low, high = 0, encoded.blocks
        while low < high:
            middle = (low + high + 1) // 2
            trunk = state.blocks.get(encoded.digest(middle - 1))
            if trunk is not None and now - trunk.last_sent <= self.lifetime:
                low = middle
            else:
                high = middle - 1
        return (low, now - state.blocks[encoded.digest(low - 1)].last_sent) if low else (0, None)

    def _moved(self, lane: Lane, trunk: str, request: ModelRequest) -> PrefixLoss | None:
        """The loss of a trunk that goes on in another lane of the same model."""
        key = (trunk, lane.endpoint, lane.model)
        before = self._last_lane.get(key)
        self._last_lane[key] = lane
        self._last_lane.move_to_end(key)
        while len(self._last_lane) > self.max_blocks // 10:
            self._last_lane.popitem(last=False)
        if before is None or before == lane:
            return None
        state = self._lanes.get(before)
        left = state.trunks.get(trunk) if state else None
        lost = request.model.counter.calibrate(left.tokens) if left else 0
        reason = "the tool list changed" if before.tools != lane.tools else "the protocol or the profile changed"
        return PrefixLoss(lane=lane, lost_tokens=lost, reason=reason)

    def _remember(self, state: _LaneState, name: str, known: _Trunk | None, encoded: Encoded) -> None:
        now = self._clock()
        if known is None or known.digests is not encoded.digests:
            # Blocks of the prompt this one replaces stay known: the server has them still.
            known = _Trunk(encoded.digests, 0, 0.0, now)
        self._trunk_count += name not in state.trunks
        state.trunks[name] = known
        state.trunks.move_to_end(name)
        for block in range(known.count, encoded.blocks):
            holder = state.blocks.setdefault(encoded.digest(block), known)
            if holder is known:
                self._block_count += 1
            elif not known.lenders or known.lenders[-1] is not holder:
                known.lenders.append(holder)
        for lender in known.lenders:
            lender.last_sent = now
        known.count, known.tokens, known.last_sent = encoded.blocks, encoded.tokens, now
        if self._block_count > self.max_blocks or self._trunk_count > self.max_blocks // 10 + 1:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        """Drop the longer unused half, so that this is done seldom."""
        states = self._lanes.values()
        trunks = {id(trunk): trunk for state in states for trunk in (*state.blocks.values(), *state.trunks.values())}
        by_age = sorted(trunk.last_sent for trunk in trunks.values())
        oldest_kept = by_age[len(by_age) // 2]
        for lane, state in list(self._lanes.items()):
            state.blocks = {digest: trunk for digest, trunk in state.blocks.items() if trunk.last_sent > oldest_kept}
            for name in [name for name, trunk in state.trunks.items() if trunk.last_sent <= oldest_kept]:
                del state.trunks[name]
            if not state.blocks:
                del self._lanes[lane]
        self._block_count = sum(len(state.blocks) for state in self._lanes.values())
        self._trunk_count = sum(len(state.trunks) for state in self._lanes.values())


def _common(trunk: _Trunk, encoded: Encoded) -> int:
    """How many leading blocks a prompt shares with a trunk."""
    if trunk.digests is encoded.digests:
        return min(trunk.count, encoded.blocks)
    low, high = 0, min(trunk.count, encoded.blocks)
    while low < high:
        middle = (low + high + 1) // 2
        if trunk.digests[middle - 1] == encoded.digest(middle - 1):
            low = middle
        else:
            high = middle - 1
    return low
