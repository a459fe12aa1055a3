"""What the plug-in does in one run: guidelines given at its start, told on the way, and let into a break."""

from dataclasses import dataclass

from agentinfer.background import Background
from agentinfer.models import Completion, ModelRequest
from agentinfer.run import Run
from agentinfer.scope._deltas import Snapshot
from agentinfer.scope._events import GuidelinesGiven, StoreDamaged
from agentinfer.scope._guideline import Guideline, Space
from agentinfer.scope._learn import Lesson
from agentinfer.scope._learner import Learner
from agentinfer.scope._situations import Situation, Watch
from agentinfer.scope._state import ScopeState, Settings
from agentinfer.scope._store import Store
from agentinfer.scope._trial import is_held_out
from agentinfer.scope._words import block_of, tactical_message, with_block
from agentinfer.step import Middleware, ModelHandler, StepHandler, StepRequest, StepResult
from agentinfer.transcript import Message, View

__all__ = ["Bound", "Drawn", "draw"]

CAUSE = "scope: guidelines"


@dataclass(frozen=True, slots=True)
class Drawn:
    """The guidelines of a run."""

    shown: list[Guideline]
    held_out: list[Guideline]


def draw(snapshot: Snapshot, run: str, view: View, settings: Settings) -> Drawn:
    """Which guidelines a run is shown, and which are held out of it. A pure function.

    Args:
        snapshot: What there is; kept ones come first.
        run: The run's id, which decides what is held out.
        view: What the run begins with. What stands there already, in a conversation that goes on, was drawn before.
        settings: Which are given, how many characters of them, and how often they are held out.
    """
    there = "\n".join(message.content for message in view if message.role in ("system", "user"))
    left = settings.max_chars
    drawn = Drawn([], [])
    for guideline in snapshot.active:
        if settings.give == "kept" and guideline.status != "kept":
            continue
        left -= len(guideline.text)
        if left < 0:
            break
        if guideline.text in there:
            continue
        share = settings.trial.hold_out if guideline.status == "trial" else settings.trial.recheck
        measured = settings.learn != "off"
        out = measured and is_held_out(guideline.id, run, share)
        (drawn.held_out if out else drawn.shown).append(guideline)
    return drawn


class Bound(Middleware):
    """One run's guidelines; the arguments are those of `Learner`."""

    def __init__(
        self,
        run: Run,
        state: ScopeState,
        space: Space,
        store: Store,
        background: Background,
        settings: Settings,
        focus: str,
    ) -> None:
        self._run = run
        self._state = state
        self._space = space
        self._store = store
        self._settings = settings
        self._learner = Learner(run, state, space, store, background, settings, focus, self._take)
        data_before = any(message.trust == "data" for message in run.view)
        self._watch = Watch(run.tools, texts=settings.texts, data_before=data_before)
        self._joining: list[str] = []
        """Strategic ones born in this run: they enter the system prompt when the prefix breaks anyway."""
        self._ready: list[Message] = []
        """Guidelines to be told at the next step."""
        self._sent: View | None = None

    async def give(self) -> None:
        """Give the run its strategic guidelines, before its first step.

        Raises:
            StoreError: They cannot be read.
        """
        before = len(getattr(self._store, "set_aside", ()))
        snapshot = await self._store.load(self._space)
        for path in getattr(self._store, "set_aside", ())[before:]:
            self._learner.tell(StoreDamaged(path=str(path)))
        if self._state.given:  # a resumed run has them
            return
        drawn = draw(snapshot, self._run.id, self._run.view, self._settings)
        self._state.given = True
        self._state.shown = [guideline.id for guideline in drawn.shown]
        self._state.held_out = [guideline.id for guideline in drawn.held_out]
        self._state.block = [guideline.text for guideline in drawn.shown]
        self._place()
        if drawn.shown or drawn.held_out:
            given = GuidelinesGiven(
                shown=tuple(self._state.shown),
                held_out=tuple(self._state.held_out),
                placement=self._settings.placement,
                characters=len(block_of(self._state.block)),
            )
            self._learner.tell(given)

    def _place(self) -> None:
        if not self._state.block:
            return
        block = block_of(self._state.block)
        goes_on = self._run.goes_on
        if self._settings.placement != "end" and not goes_on:
            self._run.commit(with_block(self._run.view, block), f"{CAUSE} in the system prompt")
        if self._settings.placement != "system" or goes_on:  # a conversation that goes on keeps its prefix
            self._run.append(Message.user(block))

    async def step(self, request: StepRequest, handler: StepHandler) -> StepResult:
        """Tell what was learned meanwhile, behind the prefix; then see what goes wrong."""
        if self._ready and request.choice != "none":
            messages, self._ready = self._ready, []
            own = request.view is self._run.view
            view = self._run.append(*messages)
            request = request.replace(view=view if own else request.view.append(*messages))
        result = await handler(request)
        if self._settings.learn != "off" and (found := self._watch.see(result)) is not None:
            self._learner.see(found)
        return result

    async def model(self, request: ModelRequest, handler: ModelHandler) -> Completion:
        """Let new strategic guidelines into the system prompt where the prefix breaks anyway."""
        lasts = request.view is self._run.view
        if self._joining and lasts and self._settings.placement != "end" and self._breaks(request.view):
            before = block_of(self._state.block)
            self._state.block += self._joining
            self._joining = []
            block = block_of(self._state.block)
            view = self._run.commit(with_block(request.view, block, before), f"{CAUSE} join a break")
            request = request.replace(view=view)
        self._sent = request.view
        return await handler(request)

    def leave(self) -> None:
        """The run is over."""
        if self._settings.learn != "off":
            answered = bool(self._run.steps) and self._run.steps[-1].answer is not None
            self._learner.leave(self._watch.waste() if answered else None)

    def judged(self, score: float) -> None:
        """Somebody has judged the run's answer, 0 to 1: learn from a wrong one."""
        if (found := self._watch.judged(score)) is not None:
            self._learner.hear(found)

    def _breaks(self, view: View) -> bool:
        """Whether a view does not continue what was sent last."""
        sent = self._sent
        if sent is None or view.shares_storage(sent):
            return False
        return len(view) < len(sent) or any(one is not other for one, other in zip(sent, view, strict=False))

    def _take(self, lesson: Lesson, situation: Situation) -> None:
        """Let a lesson take effect in this run."""
        text, decision = lesson.draft.text, lesson.decision
        if decision.status == "trial":
            self._joining.append(text)
        if decision.stream != "support" and len(self._state.tactical) < self._settings.accept.per_run:
            self._state.tactical.append(text)
            self._ready.append(tactical_message(text, tainted=situation.tainted))
