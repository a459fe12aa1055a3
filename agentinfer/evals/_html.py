"""A comparison as one HTML page: no scripts, nothing fetched, all texts escaped."""

from collections.abc import Iterable, Sequence
from html import escape

from agentinfer.evals._compare import Comparison, Duel
from agentinfer.evals._compare_text import by_difficulty, how_sure
from agentinfer.evals._measures import Measure
from agentinfer.evals._record import Record
from agentinfer.evals._svg import Axis, dots, plane
from agentinfer.evals._written import about, answers_of, bounds, change, title, value

__all__ = ["render_html"]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #1c2430; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; } h3 { font-size: 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .22rem .8rem; border-bottom: 1px solid #e3e7ec; text-align: left; vertical-align: top; }
thead th { border-bottom: 2px solid #9aa5b1; } tbody th { font-weight: normal; white-space: nowrap; }
td.words { overflow-wrap: anywhere; min-width: 8rem; max-width: 24rem; white-space: pre-wrap; }
.bounds, .note { color: #66717e; font-size: .87em; } .figure { white-space: nowrap; }
tr.section th { font-weight: 600; padding-top: .9rem; }
.better { color: #1d6b34; } .worse { color: #a8283a; } .inconclusive { color: #66717e; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); gap: 1.5rem; }
figure { margin: 0; } figcaption { font-weight: 600; margin-bottom: .3rem; }
svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: #3b4652; }
.grid { stroke: #e3e7ec; } .whisker { stroke-width: 2; fill: none; opacity: .75; }
"""

_HEAD = f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Comparison</title><style>{_STYLE}</style></head><body>
"""


def render_html(comparison: Comparison) -> str:
    """The page."""
    names = [run.name for run in comparison.runs]
    parts = [
        _HEAD,
        f"<h1>{escape(', '.join(names) if len(names) < 3 else f'{names[0]} and {len(names) - 1} others')}</h1>",
        "<ul>",
        *(f"<li><b>{escape(run.name)}</b>: {escape(about(run))}</li>" for run in comparison.runs),
        "</ul>",
        f'<p class="note">{escape(how_sure(comparison))}</p>',
        _plots(comparison, names),
        "<h2>Figures</h2>",
        _figures(comparison, names),
        _difficulty(comparison),
        *(_duel(comparison, duel) for duel in comparison.duels),
        "</body></html>\n",
    ]
    # What no encoding takes is shown as a question mark.
    return "\n".join(parts).encode(errors="replace").decode()


def _plots(comparison: Comparison, names: Sequence[str]) -> str:
    measures = {measure.name: measure for measure in comparison.measures}

    plots = []
    if "seconds" in measures:
        x, y = _axis(measures["seconds"], "seconds per question"), _axis(measures["solved"], "solved")
        intervals = [[figures[name] for figures in comparison.figures] for name in ("seconds", "solved")]
        plots.append(("Accuracy against seconds", plane(names, intervals[0], intervals[1], x, y)))
    for name, caption in (
        ("tokens_per_step", "Tokens per step"),
        ("cached_share", "Share of cached tokens"),
        ("large_share", "Large model's share"),
    ):
        if name in measures:
            shown = [figures[name] for figures in comparison.figures]
            plots.append((caption, dots(names, shown, _axis(measures[name], measures[name].title))))
    figures = (f"<figure><figcaption>{escape(caption)}</figcaption>{svg}</figure>" for caption, svg in plots)
    return f'<div class="plots">{"".join(figures)}</div>'


def _axis(measure: Measure, name: str) -> Axis:
    if measure.kind == "share":
        return Axis(title=name, write=lambda number: f"{100 * number:.0f}%")
    return Axis(title=name, write=lambda number: f"{number:,.4g}")


def _figures(comparison: Comparison, names: Sequence[str]) -> str:
    rows = []
    section = False
    for measure in comparison.measures:
        if measure.per_solved and not section:
            section = True
            rows.append(f'<tr class="section"><th colspan="{len(names) + 1}">for each solved question</th></tr>')
        cells = []
        for figures in comparison.figures:
            interval = figures[measure.name]
            cells.append(
                "<td>–</td>"
                if interval is None
                else f'<td class="figure">{value(interval.estimate, measure.kind)} '
                f'<span class="bounds">{bounds(interval, measure.kind)}</span></td>'
            )
        rows.append(f"<tr><th>{escape(measure.title)}</th>{''.join(cells)}</tr>")
    return _table(["for each question", *names], rows)


def _difficulty(comparison: Comparison) -> str:
    heading, *rows = by_difficulty(comparison) or [[]]
    cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    return "<h2>By difficulty</h2>" + _table(heading, (f"<tr>{row}</tr>" for row in cells)) if rows else ""


def _duel(comparison: Comparison, duel: Duel) -> str:
    rows = []
    for measure in comparison.measures:
        difference = duel.differences[measure.name]
        if difference is None:
            continue
        written, relative, verdict = change(difference, measure.kind)
        kind = verdict.split(",")[0]
        rows.append(
            f'<tr><th>{escape(title(measure))}</th><td class="figure">{escape(written)}</td>'
            f'<td>{escape(relative)}</td><td class="{escape(kind)}">{escape(verdict)}</td></tr>'
        )
    first, second = duel.first.name, duel.second.name
    extra = [len(run.records) - duel.common for run in (duel.first, duel.second)]
    note = (
        f"Over the {duel.common} questions that both have answered; {extra[0]} only in {first}, {extra[1]} only in "
        f"{second}. An interval wider than {comparison.margin:.0%} (of shares: points) is inconclusive."
    )
    return "\n".join(
        [
            f"<h2>{escape(second)} against {escape(first)}</h2>",
            f'<p class="note">{escape(note)}</p>',
            _table(["", "difference", "relative", ""], rows),
            _questions(f"Won: {len(duel.wins)} that only {second} solved", duel.wins, first, second),
            _questions(f"Lost: {len(duel.losses)} that only {first} solved", duel.losses, first, second),
        ]
    )


def _questions(heading: str, pairs: Sequence[tuple[Record, Record]], first: str, second: str) -> str:
    if not pairs:
        return f"<h3>{escape(heading)}</h3>"
    rows = []
    for one, other in pairs:
        cells = "".join(f'<td class="words">{escape(text)}</td>' for text in answers_of(one, other))
        rows.append(f"<tr><th>{escape(one.id)}</th>{cells}</tr>")
    return f"<h3>{escape(heading)}</h3>" + _table(["id", "question", "right", first, second], rows)


def _table(heading: Iterable[str], rows: Iterable[str]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heading)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
