"""Our enforcement against the real one: the engine as released (framework 0.3.0), and the newest framework's own text (0.5.0)."""

import copy
import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from regopy import Interpreter

from confidential_summarizer.policy.capabilities import PRIVILEGED, UNPRIVILEGED
from confidential_summarizer.policy.document import MountRule
from tests.support.policy_scenarios import (
    DEFAULT_MOUNTS,
    PRIVILEGED_MOUNTS,
    Command,
    Scenario,
    newer_scenarios,
    ours,
    random_scenarios,
    scenarios,
)

pytestmark = pytest.mark.oracle

REASONED = frozenset({"mount_device", "mount_overlay", "create_container", "rw_mount_device", "unmount_device"})
BARE = "invalid env list"
_ANSWER = re.compile(r"(\d+)> (\w+) (ok|not allowed)")


def mounts(given: Sequence[MountRule]) -> list[dict[str, Any]]:
    """Mounts as the engine's data."""
    return [asdict(mount) | {"options": list(mount.options)} for mount in given]


DATA: dict[str, Any] = {
    "defaultMounts": mounts(DEFAULT_MOUNTS),
    "privilegedMounts": mounts(PRIVILEGED_MOUNTS),
    "sandboxPrefix": "sandbox://",
    "hugePagesPrefix": "hugepages://",
    "plan9Prefix": "plan9://",
    "defaultPrivilegedCapabilities": list(PRIVILEGED),
    "defaultUnprivilegedCapabilities": list(UNPRIVILEGED),
}


OLDER: dict[str, bool] = {
    "no variables": False,  # 0.3.0 wants a variable for every rule, required or not
    "a device": True,  # 0.3.0 does not look at devices
}
"""Departures that framework 0.3.0 answers otherwise than the newest one."""


@pytest.mark.parametrize("scenario", [*scenarios(), *random_scenarios(60, 1)], ids=lambda item: item.name)
def test_the_released_engine_allows_and_refuses_the_same(simulator: Path, tmp_path: Path, scenario: Scenario) -> None:
    expected = [decision.allowed for decision in ours(scenario)]
    answers = released_engine(simulator, tmp_path, scenario)
    known = [answer for departure, answer in OLDER.items() if departure in scenario.name]
    if known:
        assert answers[:-1] == expected[:-1]
        assert len(answers) == len(expected)
    elif scenario.name == "older contract: signals":
        # 0.3.0 takes the older contract's empty lists as they are, where the newest adds SIGKILL and SIGTERM.
        added = {6, 7}
        assert answers == [answer and number not in added for number, answer in enumerate(expected)]
    else:
        assert answers == expected


def released_engine(simulator: Path, folder: Path, scenario: Scenario) -> list[bool]:
    """What the real engine answers."""
    (folder / "policy.rego").write_text(scenario.policy.text, encoding="utf-8")
    commands = [{"name": command.point, "input": dict(command.input)} for command in scenario.commands]
    (folder / "commands.json").write_text(json.dumps(commands), encoding="utf-8")
    (folder / "data.json").write_text(json.dumps(DATA), encoding="utf-8")
    files = [f"-{name}={folder / file}" for name, file in
             (("policy", "policy.rego"), ("commands", "commands.json"), ("data", "data.json"))]  # fmt: skip
    done = subprocess.run([simulator, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [outcome == "ok" for _, _, outcome in _ANSWER.findall(done.stderr)]


class NewestFramework:
    """Evaluates a policy with the framework's text, keeping its metadata as the guest's agent does."""

    def __init__(self, framework: str) -> None:
        self._framework = framework
        self._known: dict[str, tuple[bool, list[str], dict[str, Any]]] = {}

    def answers(self, scenario: Scenario) -> list[tuple[bool, list[str]]]:
        """Whether each request is allowed, and the reasons if it is not; what was asked before is remembered."""
        metadata: dict[str, Any] = {"operatingsystem": {"ostype": "linux"}}
        found = []
        for number, command in enumerate(scenario.commands, start=1):
            key = json.dumps([scenario.policy.host_data, [[c.point, c.input] for c in scenario.commands[:number]]])
            if key not in self._known:
                self._known[key] = self._ask(scenario.policy.text, command, metadata)
            allowed, errors, metadata = self._known[key]
            found.append((allowed, errors))
        return found

    def _ask(self, policy: str, command: Command, metadata: dict[str, Any]) -> tuple[bool, list[str], dict[str, Any]]:
        result = self._query(policy, f"data.policy.{command.point}", dict(command.input), metadata)
        if not result["allowed"]:
            request = dict(command.input) | {"rule": command.point}
            return False, sorted(self._query(policy, "data.policy.reason", request, metadata)["errors"]), metadata
        after = copy.deepcopy(metadata)
        for change in result.get("metadata", []):
            values = after.setdefault(change["name"], {})
            if change["action"] == "remove":
                values.pop(change["key"], None)
            else:
                values[change["key"]] = change["value"]
        return True, [], after

    def _query(self, policy: str, query: str, request: dict[str, Any], metadata: dict[str, Any]) -> Any:
        interpreter = Interpreter()
        interpreter.add_module("policy.rego", policy)
        interpreter.add_module("framework.rego", self._framework)
        interpreter.add_data(DATA | {"metadata": metadata})
        interpreter.set_input(request)
        return json.loads(str(interpreter.query(query)))["expressions"][0]


@pytest.fixture(scope="module")
def newest(framework: str) -> NewestFramework:
    """One evaluator for all scenarios."""
    return NewestFramework(framework)


@pytest.mark.parametrize(
    "scenario", [*scenarios(), *newer_scenarios(), *random_scenarios(40, 2)], ids=lambda item: item.name
)
def test_the_newest_framework_allows_and_refuses_the_same(newest: NewestFramework, scenario: Scenario) -> None:
    for command, decision, (allowed, errors) in zip(
        scenario.commands, ours(scenario), newest.answers(scenario), strict=True
    ):
        assert decision.allowed == allowed, (command.point, decision.errors, errors)
        if not allowed and command.point in REASONED:
            # regopy takes the framework's nested "every" for true where it is not, which adds this one.
            assert [error for error in decision.errors if error != BARE] == [error for error in errors if error != BARE]
