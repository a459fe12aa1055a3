"""Search over your own documents: one SQLite file, built once, read by any number of agents.

```python
report = build("docs/", "docs.db")
async with Corpus("docs.db") as corpus:
    hits = await corpus.search("capital of Chad")
    document = await corpus.open(hits[0].id)
```

`build` takes a `.jsonl` file, a folder of text, Markdown and HTML files, or any iterable of `Document`.
"""

from agentinfer.corpus._build import build
from agentinfer.corpus._documents import read_documents
from agentinfer.corpus._factbook import factbook_documents
from agentinfer.corpus._store import Corpus
from agentinfer.corpus._types import BuildReport, Document, Hit, Skip

__all__ = [
    "BuildReport",
    "Corpus",
    "Document",
    "Hit",
    "Skip",
    "build",
    "factbook_documents",
    "read_documents",
]
