import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agentinfer.corpus import Corpus, Document, Hit, build
from agentinfer.corpus._snippet import snippet, term_pattern
from agentinfer.corpus._text import query_terms
from agentinfer.errors import CorpusError

ANY_TEXT = st.text(st.characters(), max_size=200) | st.text('"*^:()-{}+ANDORT \0', max_size=60)
CJK = st.text(
    st.one_of(
        st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF),
        st.characters(min_codepoint=0x3041, max_codepoint=0x3096),
        st.characters(min_codepoint=0x30A1, max_codepoint=0x30FA),
        st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3),
        st.characters(min_codepoint=0x20000, max_codepoint=0x2A6D6),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(query=ANY_TEXT)
def test_any_query_returns_a_list(path: Path, query: str) -> None:
    async def search() -> list[Hit]:
        async with Corpus(path) as corpus:
            return await corpus.search(query)

    assert all(isinstance(hit, Hit) for hit in asyncio.run(search()))


@settings(max_examples=100, deadline=None)
@given(wanted=ANY_TEXT)
def test_any_name_opens_or_misses(path: Path, wanted: str) -> None:
    async def opened() -> str:
        async with Corpus(path) as corpus:
            try:
                return (await corpus.open(wanted)).text
            except CorpusError as error:
                return str(error)

    assert asyncio.run(opened())


@settings(max_examples=40, deadline=None)
@given(documents=st.dictionaries(st.text(), st.tuples(st.text(), st.text()), min_size=1, max_size=8))
def test_what_goes_in_comes_out(documents: dict[str, tuple[str, str]]) -> None:
    expected = [Document(id_, title, text) for id_, (title, text) in documents.items()]

    async def read(out: Path) -> list[Document]:
        async with Corpus(out) as corpus:
            assert len(corpus) == len(expected)
            return [await corpus.open(document.id) for document in expected]

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "a.db")
        build(expected, out)
        assert asyncio.run(read(out)) == expected


@settings(max_examples=40, deadline=None)
@given(title=CJK, text=CJK, around=st.sampled_from(["", " ", "abc", "。", "1"]))
def test_every_two_characters_of_a_run_find_their_document(title: str, text: str, around: str) -> None:
    document = Document("wanted", title, around + text + around)
    other = Document("other", "something else", "in plain letters")

    async def search(out: Path) -> None:
        async with Corpus(out) as corpus:
            for run in (title, text):
                for i in range(len(run)):
                    for query in (run[i], run[i : i + 2], f"abcd {run[i : i + 2]} xyz", f"abcd{run[i : i + 2]}"):
                        assert [hit.id for hit in await corpus.search(query)] == ["wanted"], query

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "a.db")
        build([other, document], out)
        asyncio.run(search(out))


@given(text=st.text("ab \n.é京。", max_size=2_000), query=st.text("ab é京", max_size=50))
@settings(deadline=None)
def test_a_snippet_is_one_short_line_of_the_text(text: str, query: str) -> None:
    found = snippet(text, term_pattern(query_terms(query)))
    assert len(found) <= 310
    assert "\n" not in found
    assert found.strip("…") in " ".join(text.split())
