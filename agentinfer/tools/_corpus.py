"""Tools over a corpus: search it, open a document of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agentinfer.errors import CorpusError, ToolError
from agentinfer.tools._tool import Tool, tool

if TYPE_CHECKING:
    from agentinfer.corpus import Corpus, Hit

__all__ = ["corpus_tools"]

PAGE_CHARS = 4_000
"""Characters of a document that the model is shown at once."""


def corpus_tools(corpus: "Corpus", *, top_k: int = 5, fenced: bool = False) -> list[Tool]:
    """`corpus_search` and `open_document` over a corpus.

    Args:
        corpus: The corpus.
        top_k: How many passages a search gives. The model does not choose: small ones ask for too few.
        fenced: Whether the model is shown results between two lines that mark them as material: for a corpus of texts
            that strangers wrote. It costs about 40 tokens a result.
    """

    @tool(bounded=True, fenced=fenced, render=_show_hits)
    async def corpus_search(query: str) -> Sequence["Hit"]:
        """Search the document collection by keywords.

        Args:
            query: A few words: the names and the facts to look for.
        """
        return await corpus.search(query, top_k)

    @tool(bounded=True, fenced=fenced, max_chars=PAGE_CHARS + 500, render=_show_page)
    async def open_document(id: str, page: int = 1) -> str | Sequence["Hit"]:  # noqa: A002 - the word the model sees
        """Read a document in full.

        Args:
            id: The id of the document, as a search showed it.
            page: Which page of a long document.
        """
        try:
            document = await corpus.open(id)
        except CorpusError as error:  # models make ids up, of the words they look for
            if hits := await corpus.search(id, top_k):
                return hits
            raise ToolError(str(error)) from None
        pages = max(1, -(-len(document.text) // PAGE_CHARS))
        if not 1 <= page <= pages:
            raise ToolError(f"{id} has {pages} page(s)")
        piece = document.text[(page - 1) * PAGE_CHARS : page * PAGE_CHARS]
        return f"{document.title}\n{piece}" + (f"\n[page {page} of {pages}]" if pages > 1 else "")

    return [corpus_search, open_document]


def _show_page(found: "str | Sequence[Hit]") -> str:
    """The page, or what is there instead of it."""
    if isinstance(found, str):
        return found
    return f"There is no such document. A search for those words finds:\n\n{_show_hits(found)}"


def _show_hits(hits: Sequence["Hit"]) -> str:
    """One paragraph per hit, for the model."""
    if not hits:
        return "Nothing found. Try other words."
    return "\n\n".join(f"[{hit.id}] {hit.title}\n{hit.snippet}" for hit in hits)
