"""What the runtime says to the model, all in one place."""

from collections.abc import Iterable

from agentinfer.output import Output
from agentinfer.result import StopReason

__all__ = ["answer_now", "not_run", "repeated", "unfit_answer"]

_WHY: dict[str, str] = {
    "steps": "There are no more steps left.",
    "tokens": "There is hardly any room left.",
    "cost": "The budget is nearly spent.",
    "seconds": "There is hardly any time left.",
    "repeated_calls": "You keep making the same call; its result will not change.",
    "malformed_replies": "Your replies could not be read.",
}


def answer_now(reason: StopReason) -> str:
    """Asks for the answer, with what is known."""
    return f"{_WHY.get(reason, '')} Give your final answer now, from what you have found. Do not call any more tools."


def repeated(name: str, step: int | None, others: Iterable[str]) -> str:
    """The result of a call that is not made again."""
    where = f"in step {step}" if step else "before"
    instead = f"call {name} with other arguments, or {', '.join(others)}" if others else "use other arguments"
    return (
        f"You have made this very call of {name} {where}, and its result is above. It was not made again. "
        f"Do something else: {instead}; or give your answer."
    )


def not_run() -> str:
    """The result of a call made when only an answer was asked for."""
    return "Not run: no more tools can be called. Give your final answer."


def unfit_answer(problem: str, output: Output[object]) -> str:
    """Asks for the answer again, in the right form."""
    return (
        f"Your answer does not have the form that was asked for: {problem}. Give it again, as JSON that fits this "
        f"schema: {output.schema_text}"
    )
