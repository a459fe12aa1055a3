import json
import os
import sys
from pathlib import Path

import pytest

from agentinfer.corpus import Document, Skip, read_documents
from agentinfer.corpus import _files as files
from agentinfer.errors import CorpusError, MissingExtra


def read(path: Path) -> tuple[list[Document], list[str]]:
    skips: list[Skip] = []
    documents = list(read_documents(path, on_skip=skips.append))
    return documents, [str(skip).replace(str(path), "~") for skip in skips]


def lines(tmp_path: Path, *content: bytes) -> Path:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join(content))
    return path


def test_a_jsonl_file(tmp_path: Path) -> None:
    path = lines(
        tmp_path,
        b'\xef\xbb\xbf{"id": "a", "title": "A", "text": "one"}',
        b"",
        b'{"id": 7, "title": "B", "text": "two"}\r',
        b"  ",
        '{"text": "drei \u00fc"}'.encode(),
        b'{"id": null, "title": null, "text": "four"}',
    )
    documents, skips = read(path)
    assert documents == [
        Document("a", "A", "one"),
        Document("7", "B", "two"),
        Document("5", "5", "drei ü"),
        Document("6", "6", "four"),
    ]
    assert skips == []


def test_broken_lines_are_reported_with_their_place(tmp_path: Path) -> None:
    path = lines(
        tmp_path,
        b'{"id": 1, "text": "good"}',
        b"{broken",
        b"[1]",
        b'{"title": "no text"}',
        b'{"text": 5}',
        b'{"id": 1.5, "text": "x"}',
        b'{"id": true, "text": "x"}',
        b'{"text": "\xff"}',
        b'{"text": " ", "title": ""}',
        b'{"id": "1", "text": "again"}',
        b"[" * 100_000,
        b'{"id": ' + b"9" * 5_000 + b', "text": "x"}',
    )
    documents, skips = read(path)
    assert [d.text for d in documents] == ["good"]
    assert skips[1:9] == [
        "~:3: not a JSON object but list",
        '~:4: no "text"',
        '~:5: "text" is not text',
        '~:6: "id" is neither text nor a whole number',
        '~:7: "id" is neither text nor a whole number',
        "~:8: not UTF-8",
        '~:9: "title" and "text" are empty',
        "~:10: the id '1' was used before, at ~:1",
    ]
    assert skips[0].startswith("~:2: not JSON")
    assert [skip.split(": ")[0] for skip in skips[9:]] == ["~:11", "~:12"]


def test_only_broken_lines_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no document in .*a\.jsonl:1: not JSON"):
        read(lines(tmp_path, b"{", b"{"))
    with pytest.raises(CorpusError, match="it is empty"):
        read(lines(tmp_path, b""))


def test_lines_are_read_one_by_one(tmp_path: Path) -> None:
    path = lines(tmp_path, *(json.dumps({"text": "x"}).encode() for _ in range(5)))
    iterator = read_documents(path)
    assert next(iterator).id == "1"
    del iterator


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.txt").write_text("hidden")
    (tmp_path / "b.txt").write_text("plain # not a heading")
    (tmp_path / "a.MD").write_text("intro\n\n## The *title* ##\n\ntext")
    (tmp_path / "sub" / "c.markdown").write_text("Under\n=====\ntext")
    (tmp_path / "sub.md").write_text("no heading")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    documents, skips = read(tmp_path)
    assert [(d.id, d.title) for d in documents] == [
        ("a.MD", "The *title*"),
        ("b.txt", "b"),
        ("sub.md", "sub"),
        ("sub/c.markdown", "Under"),
    ]
    assert skips == []


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("grün".encode(), "grün"),
        ("grün".encode("utf-8-sig"), "grün"),
        ("grün".encode("utf-16"), "grün"),
        (b"\xfe\xff" + "grün".encode("utf-16-be"), "grün"),
        ("grün".encode("utf-32"), "grün"),
        ("grün “so”".encode("cp1252"), "grün “so”"),
        (b"\x81\x8d\xff", "\ufffd\ufffdÿ"),
    ],
)
def test_encodings(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    assert next(read_documents(tmp_path)).text == text


def test_files_that_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 1_000)
    (tmp_path / "binary.txt").write_bytes(b"ab\0cd")
    (tmp_path / "empty.txt").write_bytes(b" \n")
    (tmp_path / "good.txt").write_text("good")
    (tmp_path / "huge.txt").write_text("x" * 1_001)
    documents, skips = read(tmp_path)
    assert [d.id for d in documents] == ["good.txt"]
    assert skips == ["~/binary.txt: binary, not text", "~/empty.txt: no text in it", "~/huge.txt: larger than 0.001 MB"]


def test_a_folder_that_cannot_be_listed_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good.txt").write_text("good")
    (tmp_path / "locked").mkdir()
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    documents, skips = read(tmp_path)
    assert [d.id for d in documents] == ["good.txt"]
    assert skips == ["~/locked: Permission denied"]


def test_what_a_callback_raises_is_left_as_it_is(tmp_path: Path) -> None:
    def broken(_: Skip) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        list(read_documents(lines(tmp_path, b"{"), on_skip=broken))


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")
def test_links_and_pipes(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    folder = tmp_path / "folder"
    outside.mkdir()
    folder.mkdir()
    (outside / "secret.txt").write_text("secret")
    (folder / "good.txt").write_text("good")
    (folder / "inside.txt").symlink_to("good.txt")
    (folder / "leaving.txt").symlink_to(outside / "secret.txt")
    (folder / "leaving").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    (folder / "nowhere.txt").symlink_to("none.txt")
    os.mkfifo(folder / "pipe.txt")
    documents, skips = read(folder)
    assert [d.text for d in documents] == ["good", "good"]
    assert skips == [
        "~/leaving.txt: a link that leads out of the folder",
        "~/nowhere.txt: No such file or directory",
        "~/pipe.txt: not a regular file",
    ]


def test_a_single_file(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Title\ntext")
    assert read(tmp_path / "a.md")[0] == [Document("a.md", "Title", "# Title\ntext")]


def test_what_cannot_be_read_at_all(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="there is no file or folder"):
        read(tmp_path / "none")
    with pytest.raises(CorpusError, match="holds no file of a known kind"):
        read(tmp_path)
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    with pytest.raises(CorpusError, match="is neither a folder nor"):
        read(tmp_path / "a.pdf")


PAGE = """<!doctype html><html><head><title> The
 page </title><style>p {}</style></head><body><nav>Menu</nav><script>evil()</script>
<main><h1>Heading</h1><p>One <b>bold</b>
word &amp; more.</p>loose<ul><li>first<li>second</ul>
<table><tr><td>a</td><td>b</td></tr></table><!-- not this --></main><footer>Imprint</footer></body></html>"""


def test_html(tmp_path: Path) -> None:
    pytest.importorskip("selectolax")
    (tmp_path / "a.html").write_text(PAGE)
    (tmp_path / "b.htm").write_bytes("<meta charset='iso-8859-2'><h1>Zażółć</h1><p>text".encode("iso-8859-2"))
    (tmp_path / "c.htm").write_text("<script>only()</script>")
    (tmp_path / "d.html").write_bytes(b"<meta charset=no-such>gr\xfcn")
    (tmp_path / "e.html").write_bytes(b"<meta charset=zlib>gr\xfcn")
    documents, skips = read(tmp_path)
    assert documents[0] == Document("a.html", "The page", "Heading\nOne bold word & more.\nloose\nfirst\nsecond\na | b")
    assert documents[1] == Document("b.htm", "Zażółć", "Zażółć\ntext")
    assert [(d.title, d.text) for d in documents[2:]] == [("d", "grün"), ("e", "grün")]
    assert skips == ["~/c.htm: no text in it"]


def test_html_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "selectolax", None)
    monkeypatch.setitem(sys.modules, "selectolax.lexbor", None)
    (tmp_path / "a.html").write_text(PAGE)
    with pytest.raises(MissingExtra, match=r"Reading HTML files .*agentinfer\[html\]"):
        read(tmp_path)
