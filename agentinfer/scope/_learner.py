"""Learning from one run, beside it and after it."""

import asyncio
from collections.abc import Callable, Iterable

from agentinfer.background import Background
from agentinfer.errors import BudgetSpent, ModelError
from agentinfer.events import Event, RunFinished
from agentinfer.run import Run
from agentinfer.scope._author import Allowance, Author
from agentinfer.scope._deltas import Change, Move
from agentinfer.scope._events import GuidelineLearned, GuidelineMoved, GuidelineRejected, LearningSkipped
from agentinfer.scope._guideline import Origin, Source, Space
from agentinfer.scope._learn import AUTHOR, Lesson, judge_all, keep, make_room, write
from agentinfer.scope._reach import Task, binding_of
from agentinfer.scope._situations import Situation
from agentinfer.scope._state import ScopeState, Settings
from agentinfer.scope._store import Outcome, Store

__all__ = ["Learner", "moves"]

PATIENCE = 10.0
"""Seconds to wait for a run's result after its plug-ins have left."""
LOOK = 0.005
"""Seconds between two looks for it."""


class Learner:
    """Learns from one run, in the background.

    Args:
        run: The run.
        state: What is kept with it.
        space: Whose guidelines.
        store: Where they are kept.
        background: On whose account.
        settings: Those of the plug-in.
        focus: What guidelines are to be good for.
        take: Told of each lesson that was accepted while the run is at work.
    """

    def __init__(
        self,
        run: Run,
        state: ScopeState,
        space: Space,
        store: Store,
        background: Background,
        settings: Settings,
        focus: str,
        take: Callable[[Lesson, Situation], None],
    ) -> None:
        self._run = run
        self._state = state
        self._space = space
        self._store = store
        self._background = background
        self._settings = settings
        self._focus = focus
        self._take = take
        self._instructions = next((m.content for m in run.view[:1] if m.role == "system"), "")
        self._model = settings.small or run.model
        self._allowance = Allowance(
            settings.share, lambda: run.usage, run.model, self._model, spent=state.spent, keep=self._keep_spent
        )
        self._at_work = True
        self._waiting: list[Situation] = []
        """To be learned from when the run is over."""
        self._born: list[Lesson] = []
        """Strategic ones that were decided on, perhaps before the run's answer was known."""

    def see(self, situation: Situation) -> None:
        """Learn from a situation, now or when the run is over; from the same thing once."""
        if situation.trigger in self._state.learned_from:
            return
        self._state.learned_from.append(situation.trigger)
        if self._settings.learn == "after" or not self._at_work:
            self._waiting.append(situation)
        else:
            self._background.spawn(self._learn(situation), name="scope: learn")

    def leave(self, wasted: Situation | None) -> None:
        """The run is over: note what it scored, and learn from what is left."""
        self._at_work = False
        if wasted is not None:
            self.see(wasted)
        self._background.spawn(self._settle(), name="scope: settle")

    def hear(self, situation: Situation) -> None:
        """Learn from what somebody says of a run that is over."""
        self.see(situation)
        self._background.spawn(self._catch_up(), name="scope: learn")

    def tell(self, event: Event) -> None:
        """An event of the run; of the background, once the run is over."""
        if self._at_work:
            self._run.emit(event)
        else:
            self._background.emit(event)

    async def _settle(self) -> None:
        score = await self._score() if self._settings.evidence == "outcome" else None
        shown, held_out = tuple(self._state.shown), tuple(self._state.held_out)
        if score is not None and (shown or held_out):
            outcome = Outcome(run=self._run.id, score=min(max(score, 0.0), 1.0), shown=shown, held_out=held_out)
            await self._store.record(self._space, outcome)
            self._tell_moves(await judge_all(self._store, self._space, self._settings.trial))
        await self._take_back()
        await self._catch_up()

    async def _catch_up(self) -> None:
        while self._waiting:
            await self._learn(self._waiting.pop(0))

    async def _take_back(self) -> None:
        """Retire what was learned before the answer was known, and holds it."""
        born, self._born = self._born, []
        bindings = [(lesson, binding_of(lesson.draft.text, self._task())) for lesson in born]
        moves_ = [Move(lesson.id, "retired", f"it {bound}") for lesson, bound in bindings if lesson.id and bound]
        if moves_:
            self._tell_moves(await self._store.apply(self._space, moves_, author=AUTHOR, reason="it has an answer"))

    async def _score(self) -> float | None:
        """The run's own outcome. Its result is there a moment after its plug-ins have left."""
        for _ in range(int(PATIENCE / LOOK)):
            ended = [event for event in self._run.events[-3:] if isinstance(event, RunFinished)]
            if ended:
                return self._settings.score(ended[0].result)
            await asyncio.sleep(LOOK)
        return None

    async def _learn(self, situation: Situation) -> None:
        settings = self._settings
        deadline = asyncio.get_running_loop().time() + settings.timeout
        author = Author(
            self._background, self._model, self._allowance, deadline=deadline, max_tokens=settings.max_tokens
        )
        try:
            written = await write(
                author,
                situation,
                question=self._run.question if self._at_work else "",  # what comes later is for others
                instructions=self._instructions,
                snapshot=await self._store.load(self._space),
                focus=self._focus,
                best_of=settings.best_of,
                task=self._task(),
                policy=settings.accept,
            )
        except (BudgetSpent, ModelError, TimeoutError) as error:
            if isinstance(error, BudgetSpent) and self._at_work:
                self._waiting.append(situation)  # a longer run may afford it
            else:
                self.tell(LearningSkipped(what=situation.trigger, reason=str(error) or "it took too long"))
            return
        if written is None:
            return
        origin: Origin = "tool" if situation.tainted else "run"
        lesson = await keep(
            self._store,
            self._space,
            situation,
            *written,
            source=Source(origin=origin, run=self._run.id, step=situation.step, note=situation.trigger),
            tactical=self._state.tactical,
            policy=settings.accept,
            task=self._task(),
        )
        if lesson.decision.stream == "strategic":
            self._born.append(lesson)
        self._tell_lesson(lesson, situation)
        if not self._at_work:  # the run may have ended while the lesson was being kept
            await self._take_back()
        if lesson.decision.status == "trial":
            room = make_room(author, self._store, self._space, lesson.decision.domain, settings.accept)
            self._tell_moves(await room)

    def _tell_lesson(self, lesson: Lesson, situation: Situation) -> None:
        text, decision = lesson.draft.text, lesson.decision
        if decision.stream == "rejected":
            self.tell(GuidelineRejected(text=text, reason=decision.reason))
            return
        told = GuidelineLearned(
            text=text, stream=decision.stream, id=lesson.id, status=decision.status, reason=decision.reason
        )
        self.tell(told)
        if self._at_work:
            self._take(lesson, situation)

    def _tell_moves(self, changes: Iterable[Change]) -> None:
        for event in moves(changes):
            self.tell(event)

    def _task(self) -> Task:
        """What the run is about, as far as it has come."""
        steps = self._run.steps
        return Task(
            question=self._run.question,
            instructions=self._instructions,
            called="\n".join(result.call.arguments for step in steps for result in step.results),
            answer=(steps[-1].answer or "") if steps else "",
        )

    def _keep_spent(self, spent: float) -> None:
        self._state.spent = spent


def moves(changes: Iterable[Change]) -> list[GuidelineMoved]:
    """The guidelines among these changes that have another status now."""
    return [
        GuidelineMoved(id=change.id, status=change.after.status, reason=change.after.reason)
        for change in changes
        if change.before is None or change.before.status != change.after.status
    ]
