import io

from agentinfer.cli._live import LiveView
from agentinfer.sam import ActionRepeats, Repetition, RunRepeats, action_of
from agentinfer.transcript import ToolCall


def call(name: str, arguments: str) -> ToolCall:
    return ToolCall(id="", name=name, arguments=arguments)


def test_actions_are_about_their_words() -> None:
    one = action_of(call("search", '{"query": "Capital of Laos"}'))
    assert one == action_of(call("search", '{"query": "laos: of capital?"}'))
    assert one != action_of(call("search", '{"query": "capital of Bhutan"}'))
    assert one != action_of(call("find", '{"query": "capital of Laos"}'))
    assert action_of(call("search", "not { json")) == action_of(call("search", "json not"))


def test_a_cycle_is_noticed_when_it_closes() -> None:
    repeats = ActionRepeats(least=2)
    assert [repeats.note(action) for action in "abcab"] == [None] * 4 + [Repetition(2, 2)]
    assert repeats.note("c") == Repetition(3, 2)
    assert [found.times if found else 0 for found in map(repeats.note, "abc")] == [2, 3, 3]


def test_one_action_again_is_no_cycle_unless_asked_for() -> None:
    assert ActionRepeats(least=2).note("a") is None
    repeats = ActionRepeats(least=1, times=3)
    assert [repeats.note("a") for _ in range(3)] == [None, None, Repetition(2, 3)]


def test_progress_is_no_repetition() -> None:
    repeats = ActionRepeats()
    assert all(repeats.note(number) is None for number in range(200))


def test_whoever_watches_a_run_is_told() -> None:
    out = io.StringIO()
    LiveView(out)(RunRepeats(step=4, actions=2, times=2))
    assert "made before" in out.getvalue()
