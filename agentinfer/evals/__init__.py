"""Evaluation: an agent asked questions with known answers, graded, and everything it spent accounted for.

```python
questions = load_questions("questions.jsonl", split="develop")
async with Corpus("corpus.db") as corpus, Model.local("qwen2.5-coder-1.5b-instruct") as model:
    records = await evaluate(lambda: search_agent(model, corpus), questions, out="results/plain", limit=20)
print(render_summary(summarise(records)))
```

Bring your own: a grader is anything with a `name` and an async `grade(question, answer)`; a data set is any iterable of
`Question`; what an agent is asked is made by any async function from `Question` to `Prompt`.
"""

from agentinfer.evals._compare import Comparison, Difference, Duel, compare
from agentinfer.evals._compare_text import render_comparison
from agentinfer.evals._errors import EvalError
from agentinfer.evals._graders import F1, ExactMatch, Grader, Judge, normalise
from agentinfer.evals._html import render_html
from agentinfer.evals._progress import Progress
from agentinfer.evals._prompts import CLOSED_BOOK, ONE_SHOT, Prompt, Prompter, one_shot
from agentinfer.evals._questions import Question, Split, load_questions, split_of
from agentinfer.evals._record import RESULTS_VERSION, ModelShare, Record, Waste
from agentinfer.evals._results import load_records, load_settings, trajectory_path
from agentinfer.evals._retrieval import Retrieved, recall, retrieved, retrieved_in
from agentinfer.evals._runner import evaluate, ordered
from agentinfer.evals._summary import Difficulty, Summary, Totals, summarise
from agentinfer.evals._text import render_summary
from agentinfer.evals._trajectory import trajectory_of
from agentinfer.evals._waste import waste_of

__all__ = [
    "CLOSED_BOOK",
    "F1",
    "ONE_SHOT",
    "RESULTS_VERSION",
    "Comparison",
    "Difference",
    "Difficulty",
    "Duel",
    "EvalError",
    "ExactMatch",
    "Grader",
    "Judge",
    "ModelShare",
    "Progress",
    "Prompt",
    "Prompter",
    "Question",
    "Record",
    "Retrieved",
    "Split",
    "Summary",
    "Totals",
    "Waste",
    "compare",
    "evaluate",
    "load_questions",
    "load_records",
    "load_settings",
    "normalise",
    "one_shot",
    "ordered",
    "recall",
    "render_comparison",
    "render_html",
    "render_summary",
    "retrieved",
    "retrieved_in",
    "split_of",
    "summarise",
    "trajectory_of",
    "trajectory_path",
    "waste_of",
]
