"""Profiles as files: written, read back, edited, found again."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentinfer.errors import UserError
from agentinfer.models import (
    Model,
    Profile,
    kept_profile,
    profile_path,
    profiles_directory,
    read_profile,
    write_profile,
)

URL = "http://127.0.0.1:8080/v1"

VALUES = st.recursive(
    st.booleans() | st.integers(-(2**62), 2**62) | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
PROFILES = st.builds(
    Profile,
    name=st.text(),
    protocol=st.sampled_from(["native", "json", "tagged"]),
    tool_choices=st.frozensets(st.sampled_from(["auto", "none", "required"])),
    parallel_tool_calls=st.none() | st.booleans(),
    json_schema=st.booleans(),
    schema_form=st.sampled_from(["json_schema", "json_object"]),
    echo_reasoning=st.none() | st.sampled_from(["reasoning", "reasoning_content"]),
    context_window=st.none() | st.integers(1, 2**31),
    extra_body=st.dictionaries(st.text(), VALUES, max_size=3),
)
FIELDS = [field.name for field in dataclasses.fields(Profile)]


@given(PROFILES, st.text(), st.dictionaries(st.sampled_from(FIELDS), st.text()), st.lists(st.text(), max_size=3))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, profile: Profile, model: str, reasons: dict[str, str], notes: list[str]
) -> None:
    """Whatever a server made of its model's name and of its refusals."""
    path = tmp_path_factory.getbasetemp() / "profile.toml"

    write_profile(path, profile, base_url=URL, model=model, reasons=reasons, notes=notes)

    kept = read_profile(path)
    assert (kept.profile, kept.base_url, kept.model) == (profile, URL, model)
    assert set(tomllib.loads(path.read_text(encoding="utf-8"))) <= {"base_url", "model", *FIELDS}


def test_the_file_says_why(tmp_path: Path) -> None:
    profile = Profile(protocol="json", extra_body={"a": {"b": None, "c": "\x7f"}})
    reasons = {"protocol": "no tool calls:\nx = 1", "stream": "in 3 pieces"}

    path = write_profile(
        tmp_path / "new" / "p.toml", profile, base_url="http://u:hunter22@h/v1?k=abcdef", model="m", reasons=reasons
    )

    text = path.read_text()
    assert '# no tool calls: x = 1\nprotocol = "json"\n' in text
    assert "# in 3 pieces\nstream = true\n" in text
    assert "late_system" not in text, "what nobody found out is left out"
    assert "hunter22" not in text
    assert "abcdef" not in text
    assert read_profile(path).profile.extra_body == {"a": {"c": "\x7f"}}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("protocol = ", "is not TOML"),
        ('protocoll = "json"', "no field 'protocoll'"),
        ('protocol = "yaml"', "protocol: Input should be 'native', 'json' or 'tagged'"),
        ("context_window = 0", "context_window is a positive number"),
        ("model = 3", "model is a text"),
        ("extra_body = 3", "extra_body"),
    ],
)
def test_a_file_that_holds_no_profile(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=complaint) as caught:
        Model("m", base_url=URL, profile=path)
    assert "mine.toml" in str(caught.value)


def test_a_model_takes_the_path_of_a_profile(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('protocol = "tagged"\nstream = false\ncontext_window = 2048\n')
    for given_as in (path, str(path)):
        model = Model("m", base_url=URL, profile=given_as)
        assert (model.profile.name, model.protocol.name, model.stream, model.context_window) == (
            "mine", "tagged", False, 2048,
        )  # fmt: skip
    with pytest.raises(UserError, match=r"cannot read the profile .*none\.toml"):
        Model("m", base_url=URL, profile="none.toml")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AGENTINFER_HOME", str(tmp_path))
    return tmp_path


def keep(name: str, base_url: str, **more: Any) -> None:
    path = profiles_directory() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(f'{key} = "{value}"' for key, value in {"base_url": base_url, **more}.items()))


def test_kept_profiles_are_found_by_endpoint_and_model(home: Path) -> None:
    assert kept_profile(URL, "m") is None
    keep("a.toml", URL, model="m", protocol="json")
    keep("b.toml", f"{URL}/", protocol="tagged")
    keep("c.toml", "http://127.0.0.1:9090/v1", model="m")

    found = [kept_profile(f"{URL}?key=1", model) for model in ("m", "other")]

    assert [kept and (kept.path.name, kept.profile.protocol) for kept in found] == [
        ("a.toml", "json"),
        ("b.toml", "tagged"),
    ]
    assert kept_profile("http://127.0.0.1:7070/v1", "m") is None
    assert Model("m", base_url=URL).profile.name == "generic", "the library reads no file that nobody named"


def test_a_kept_profile_that_cannot_be_read_is_told_of(home: Path) -> None:
    keep("a.toml", URL, colour="red")
    with pytest.raises(UserError, match=r"a\.toml"):
        kept_profile(URL, "m")


def test_where_profiles_are_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = profile_path("https://me:pw@api.example.com:8443/a/v1", "org/model:free")
    assert path == home / "profiles" / "api.example.com-8443_a_v1_org%2Fmodel%3Afree.toml"
    monkeypatch.delenv("AGENTINFER_HOME")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "x"))
    assert profiles_directory() == home / "x" / "agentinfer" / "profiles"
