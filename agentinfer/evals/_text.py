"""A summary as lines for a person."""

from agentinfer.evals._summary import Summary, Totals

__all__ = ["render_summary"]


ROWS = (
    "steps",
    "search_rounds",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "cost",
    "seconds",
    "model_seconds",
    "tool_seconds",
    "overhead_seconds",
)


def render_summary(summary: Summary) -> str:
    """A summary as a few lines of text."""
    lines = [f"{', '.join(summary.configs)}: {summary.solved} of {summary.questions} questions solved", ""]
    lines += [f"  {name:<22}{mean:.3f}{_raised(summary, name)}" for name, mean in summary.grades.items()]
    if summary.recall is not None:
        lines.append(f"  {'retrieval recall':<22}{summary.recall:.3f}")
    lines += ["  (each question was asked once: pass@1)", ""]
    lines += _table(summary)
    if summary.estimated_calls:
        lines.append(f"  tokens of {summary.estimated_calls} model calls are estimates")
    lines += ["", "  ended: " + ", ".join(f"{reason} {n}" for reason, n in summary.stop_reasons.items())]
    lines += [
        f"  {hops} documents needed: {group.questions} questions, accuracy {group.accuracy:.3f}, "
        f"{group.search_rounds:.1f} search rounds{_recall(group.recall)}"
        for hops, group in summary.hops.items()
    ]
    waste = summary.waste
    lines.append(
        f"  to no effect: {waste.rebilled_tokens:,} tokens sent again after prefix breaks, "
        f"{waste.bad_step_tokens:,} in {waste.bad_steps} repeated or failed steps, {waste.discarded_tokens:,} in "
        f"discarded replies, about {waste.unused_tokens:,} showing {waste.unused_documents} documents that were never "
        f"used, of {waste.documents}"
    )
    return "\n".join([*lines, f"  {_circumstances(summary)}"])


def _raised(summary: Summary, name: str) -> str:
    raised = summary.grading_errors.get(name)
    return f"  (raised on {raised} of {summary.questions} questions, which it leaves out)" if raised else ""


def _recall(recall: float | None) -> str:
    return "" if recall is None else f", recall {recall:.3f}"


def _table(summary: Summary) -> list[str]:
    columns = {"total": summary.totals, "per question": summary.per_question}
    if summary.per_solved is not None:
        columns["per solved"] = summary.per_solved
    heading = f"  {'':<22}" + "".join(f"{title:>15}" for title in columns)
    return [heading] + [
        f"  {_title(name):<22}" + "".join(_cell(totals, name) for totals in columns.values())
        for name in ROWS
        if getattr(summary.totals, name) is not None
    ]


def _title(name: str) -> str:
    return name.replace("_seconds", " seconds").replace("_", " ")


def _cell(totals: Totals, name: str) -> str:
    value = getattr(totals, name)
    if name == "cost":
        return f"{value:>15.5f}"
    return f"{value:>15,.2f}" if "seconds" in name or value < 100 else f"{value:>15,.0f}"


def _circumstances(summary: Summary) -> str:
    parts = [f"{'/'.join(map(str, summary.concurrency))} at once"]
    if summary.load is not None:
        parts.append(f"machine load {summary.load[0]:.2f} to {summary.load[1]:.2f}")
    parts += [", ".join(f"{name} {version}" for name, version in versions.items()) for versions in summary.versions]
    return "; ".join(parts)
