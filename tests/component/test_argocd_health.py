"""The health that Argo CD shows, from the Lua that it would run, run by Lua."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "gitops" / "argocd-health.lua"
LUA = shutil.which("lua5.4")

pytestmark = pytest.mark.skipif(LUA is None, reason="needs Debian's lua5.4 (make setup-sandbox)")


def lua(value: Any) -> str:
    """Return a JSON value as Lua writes it; a null is a field that is not there, as it is to Argo CD."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"[{lua(k)}] = {lua(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ", ".join(map(lua, value)) + "}"
    return "nil" if value is None else json.dumps(value)


def health(document: dict[str, Any]) -> tuple[str, str]:
    assert LUA is not None
    program = f"obj = {lua(document)}\nlocal hs = dofile({lua(str(SCRIPT))})\nprint(hs.status)\nprint(hs.message)"
    result = subprocess.run([LUA, "-"], input=program, capture_output=True, text=True, check=True, timeout=10)
    status, message = result.stdout.splitlines()
    return status, message


def condition(kind: str, reason: str, *, status: str = "True") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": f"{reason} it is"}


def document(*conditions: dict[str, str], observed: int = 3, **metadata: Any) -> dict[str, Any]:
    status = {"observedGeneration": observed, "conditions": list(conditions)}
    return {"metadata": {"name": "contracts", "generation": 3, **metadata}, "status": status}


NOT_READY = condition("Ready", "RollingOut", status="False")
STATES: dict[str, tuple[dict[str, Any], str]] = {
    "never seen": ({"metadata": {"generation": 1}, "status": {"observedGeneration": -1}}, "Progressing"),
    "without any status": ({"metadata": {"generation": 1}}, "Progressing"),
    "served": (document(condition("Ready", "Ready")), "Healthy"),
    "served as it was before the last commit": (document(condition("Ready", "Ready"), observed=2), "Progressing"),
    "rolling out": (document(NOT_READY, condition("Reconciling", "RollingOut")), "Progressing"),
    "not granted": (
        document(condition("Ready", "NotGranted", status="False"), condition("Stalled", "NotGranted")),
        "Degraded",
    ),
    "waiting for the data owner": (
        document(condition("Ready", "AwaitingApproval", status="False"), condition("Reconciling", "AwaitingApproval")),
        "Suspended",
    ),
    "paused": (
        document(condition("Ready", "Ready"), annotations={"confidential.summarizer.dev/pause": "true"}),
        "Suspended",
    ),
    "going away": (document(condition("Ready", "Ready"), deletionTimestamp="2026-11-24T12:00:00Z"), "Progressing"),
    "not ready, and nobody at it": (document(NOT_READY), "Degraded"),
}


@pytest.mark.parametrize("state", STATES)
def test_argo_cd_shows_a_resource_that_is(state: str) -> None:
    given, expected = STATES[state]
    status, message = health(given)
    assert status == expected
    assert message


def test_the_message_is_the_condition_s() -> None:
    assert health(document(NOT_READY, condition("Reconciling", "RollingOut")))[1] == "RollingOut it is"
