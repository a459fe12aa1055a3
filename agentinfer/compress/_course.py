"""How runs go: what experience the next decision draws on."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from agentinfer.run import Run

__all__ = ["Course", "Courses"]

KEPT_RUNS = 200
"""Runs of which is remembered how they went."""


@dataclass(slots=True)
class Course:
    """How a run goes, or all runs of a session."""

    turns: int = 0
    """Steps so far for which a model was asked."""
    failures: int = 0
    """Compressions in a row that came to nothing."""
    rest_until: int = 0
    """The turn before which none is begun."""

    def note_failure(self) -> None:
        """Wait twice as long as last time before the next try."""
        self.failures += 1
        self.rest_until = self.turns + 2**self.failures


class Courses:
    """How the latest runs went that ended; those of one session are one."""

    def __init__(self) -> None:
        self._courses: OrderedDict[Hashable, Course] = OrderedDict()

    def of(self, run: Run) -> Course:
        """How it went before this run: in its session, or before it was resumed."""
        known = self._courses.get(_key(run))
        if known is not None:
            return known
        own = run.transcript[run.opening :]
        return Course(turns=sum(message.role == "assistant" and not message.stands_for for message in own))

    def keep(self, run: Run, course: Course) -> None:
        """Remember how a run went."""
        self._courses[_key(run)] = course
        self._courses.move_to_end(_key(run))
        while len(self._courses) > KEPT_RUNS:
            self._courses.popitem(last=False)

    def turns(self) -> list[int]:
        """Of each, how many turns it took."""
        return [course.turns for course in self._courses.values()]


def _key(run: Run) -> Hashable:
    """What runs that go on with each other share."""
    return run.id if run.session is None else (run.tenant, run.session)
