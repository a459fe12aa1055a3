import asyncio
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import agentinfer.errors
from agentinfer.corpus import Corpus, Document, build
from agentinfer.corpus import _store as store
from agentinfer.errors import CorpusError, UserError

ROOT = Path(agentinfer.errors.__file__).parents[1]


async def ids(corpus: Corpus, query: str, top_k: int = 5) -> list[str]:
    return [hit.id for hit in await corpus.search(query, top_k)]


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("What is the capital of Sudan?", "sudan"),
        ("niger's capital", "niger"),
        ("hotel Lille", "lille"),
        ("HÔTEL belfries", "lille"),
        ("visitor climbing", "lille"),
        ("which countries border Chad", "chad"),
        ("東京", "tokyo"),
        ("首都 北京", "beijing"),
        ("北京的首都", "beijing"),
        ("水", "beijing"),
        ("수도 서울", "seoul"),
        ("iphone", "tokyo"),
        ("iPhoneアプリ", "tokyo"),
        ("ＳＵＤＡＮ", "sudan"),
        ("capital of 日本", "tokyo"),
    ],
)
async def test_finds_the_best_document_first(corpus: Corpus, query: str, best: str) -> None:
    assert (await ids(corpus, query))[0] == best


async def test_a_mixed_query_finds_both_sides(corpus: Corpus) -> None:
    assert {"sudan", "beijing"} <= set(await ids(corpus, "Khartoum 北京"))


async def test_hits_are_ordered_and_limited(corpus: Corpus) -> None:
    hits = await corpus.search("capital government niger", 2)
    assert len(hits) == 2
    assert hits[0].score >= hits[1].score > 0
    assert hits[0].title == "Niger - Government"


async def test_only_stop_words_are_searched_for_as_they_are(corpus: Corpus) -> None:
    assert "sudan" in await ids(corpus, "where is the")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "   ",
        "?!",
        '"',
        "'",
        "AND",
        "NEAR(a b)",
        "title:chad",
        "chad*",
        "^chad",
        "a AND NOT (",
        "\0",
        "ch\0ad",
        "😀",
        "\ud800",
        "-",
        "{x}:",
    ],
)
async def test_no_query_is_an_operator_or_an_error(corpus: Corpus, query: str) -> None:
    assert isinstance(await corpus.search(query), list)


async def test_a_very_long_query_is_bounded(corpus: Corpus) -> None:
    started = time.monotonic()
    assert (await ids(corpus, "khartoum " + " ".join(f"word{i}" for i in range(15_000))))[0] == "sudan"
    assert isinstance(await corpus.search("京" * 100_000), list)
    assert isinstance(await corpus.search("x" * 100_000), list)
    assert time.monotonic() - started < 2


async def test_top_k_must_be_positive_and_may_be_huge(corpus: Corpus) -> None:
    with pytest.raises(UserError, match="top_k"):
        await corpus.search("chad", 0)
    assert await ids(corpus, "landlocked", 10**30) == ["chad"]


async def test_opens_by_id_then_title_then_title_without_case(corpus: Corpus) -> None:
    assert (await corpus.open("chad")).title == "Chad - Geography"
    assert (await corpus.open("Hôtel de ville")).id == "7"
    assert (await corpus.open("Hôtel de Ville")).id == "lille"
    assert (await corpus.open("HÔTEL  DE VILLE")).id == "lille"
    assert (await corpus.open("北京")).id == "beijing"


@pytest.mark.parametrize(
    ("wanted", "closest"),
    [
        ("Chad geografy", "Chad - Geography"),
        ("Geography", "Chad - Geography"),
        ("Sudn - Government", "Sudan"),
        ("北京市", "北京"),
    ],
)
async def test_a_miss_names_the_closest_titles(corpus: Corpus, wanted: str, closest: str) -> None:
    with pytest.raises(CorpusError, match=f"closest titles: .*{closest}"):
        await corpus.open(wanted)


@pytest.mark.parametrize("wanted", ["", "\0", "\ud800", "zzz", "x" * 100_000, '"'])
async def test_a_miss_of_any_kind_is_one_short_error(corpus: Corpus, wanted: str) -> None:
    with pytest.raises(CorpusError, match="no document has the id or title") as raised:
        await corpus.open(wanted)
    assert len(str(raised.value)) < 1_000


async def test_length(corpus: Corpus) -> None:
    assert len(corpus) == 8


async def test_many_searches_at_once(corpus: Corpus) -> None:
    results = await asyncio.gather(*(ids(corpus, "khartoum"[: 8 - i % 2] + " khartoum") for i in range(500)))
    assert {tuple(result) for result in results} == {("sudan",)}


async def test_several_processes_search_one_file(corpus: Corpus, path: Path) -> None:
    program = (
        "import asyncio, sys\nfrom agentinfer.corpus import Corpus\n"
        "async def main():\n"
        "    async with Corpus(sys.argv[1]) as c:\n"
        "        for _ in range(100):\n"
        "            hits = await c.search('khartoum')\n"
        "        print(len(c), hits[0].id)\n"
        "asyncio.run(main())\n"
    )
    others = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(path), cwd=ROOT, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    for _ in range(100):
        assert await ids(corpus, "khartoum") == ["sudan"]
    for other in others:
        out, _ = await other.communicate()
        assert out.split() == [b"8", b"sudan"]


async def test_the_event_loop_runs_on_while_sqlite_is_busy(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def slow(*_: object) -> list[object]:
        release.wait(10)
        return []

    monkeypatch.setattr(store, "_search", slow)
    search = asyncio.create_task(corpus.search("chad"))
    await asyncio.sleep(0.01)
    assert not search.done()
    release.set()
    assert await search == []


async def test_cancelled_searches_leave_the_corpus_working(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    real = store._search

    def slow(*arguments: object) -> object:
        release.wait(10)
        return real(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(store, "_search", slow)
        tasks = [asyncio.create_task(corpus.search("khartoum")) for _ in range(50)]
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        release.set()
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    assert await asyncio.gather(*(ids(corpus, "khartoum") for _ in range(20))) == [["sudan"]] * 20


async def test_a_closed_corpus_says_so(path: Path) -> None:
    corpus = Corpus(path)
    await corpus.aclose()
    await corpus.aclose()
    with pytest.raises(CorpusError, match="closed"):
        await corpus.search("chad")


async def test_closing_waits_for_searches_under_way(path: Path) -> None:
    corpus = Corpus(path)
    searches = [asyncio.create_task(ids(corpus, "khartoum")) for _ in range(20)]
    await asyncio.sleep(0)
    await corpus.aclose()
    assert await asyncio.gather(*searches) == [["sudan"]] * 20


async def test_a_rebuilt_file_does_not_disturb_who_has_it_open(tmp_path: Path) -> None:
    out = tmp_path / "a.db"
    build([Document("1", "old", "first edition")], out)
    async with Corpus(out) as before:
        build([Document("1", "new", "second edition"), Document("2", "newer", "third edition")], out)
        async with Corpus(out) as after:
            assert [hit.title for hit in await before.search("edition")] == ["old"]
            assert len(await after.search("edition")) == 2


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="there is no corpus at"):
        Corpus(tmp_path / "none.db")


def test_a_folder_is_not_a_corpus(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="cannot read"):
        Corpus(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0" + b"x" * 200])
def test_another_file_is_not_a_corpus(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.db").write_bytes(content)
    with pytest.raises(CorpusError, match="is not a corpus"):
        Corpus(tmp_path / "x.db")


def test_another_format_version_is_named(tmp_path: Path, path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[60:64] = (99).to_bytes(4, "big")
    (tmp_path / "x.db").write_bytes(data)
    with pytest.raises(CorpusError, match=r"format 99.*build it again"):
        Corpus(tmp_path / "x.db")


@pytest.mark.parametrize("length", [150, 5_000])
def test_a_cut_off_file_is_an_error_and_no_crash(tmp_path: Path, path: Path, length: int) -> None:
    async def search() -> None:
        async with Corpus(tmp_path / "x.db") as corpus:
            await corpus.search("khartoum")

    (tmp_path / "x.db").write_bytes(path.read_bytes()[:length])
    with pytest.raises(CorpusError, match="cannot read the corpus"):
        asyncio.run(search())


async def test_odd_file_names(tmp_path: Path) -> None:
    out = tmp_path / "a ?b#c%20ü.db"
    build([Document("1", "t", "word")], out)
    async with Corpus(os.fspath(out)) as corpus:
        assert await ids(corpus, "word") == ["1"]


def test_importing_is_light() -> None:
    program = "import sys\nfrom agentinfer.corpus import _store, _build\nassert 'selectolax' not in sys.modules\n"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
