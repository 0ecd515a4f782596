"""The text of policies, to the byte."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from confidential_summarizer.policy.container_group import container_group_policy
from confidential_summarizer.policy.contracts import CONTRACTS
from confidential_summarizer.policy.document import Policy
from confidential_summarizer.policy.parsing import parse_policy
from confidential_summarizer.policy.settings import PolicySettings
from confidential_summarizer.policy.text import render
from confidential_summarizer.policy.virtual_node import virtual_node_policy
from tests.support.policy_scenarios import IMAGES, POD, measured_image

DATA = Path(__file__).parents[2] / "data" / "policy"
BASE = "mcr.microsoft.com/azurelinux/distroless/base@sha256:1e77d97e1e39f22ed9c52f49b3508b4c1044cec23743df9098ac44e025f654f2"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BASE_IMAGE = {
    BASE: measured_image(BASE, "243e1b3ce08093f2f0d9cd6a9eafde8737f64fec105ed59c346d309fbe760b58", env=(PATH,))
}

LENGTHS = {
    "group with a variable": 5066,
    "privileged pod": 12484,
    "pod with hooks": 15012,
    "group with capabilities": 5170,
}
"""Characters of what `az confcom` writes for the same input: 0.10 with the fragment's version 1, 0.10 and 0.11 indented, 0.11."""


def group(**properties: object) -> dict[str, object]:
    return {"properties": {"containers": [{"name": "container1", "properties": {"image": BASE, **properties}}]}}


def pod(**container: object) -> dict[str, object]:
    return {"metadata": {"name": "pod"}, "spec": {"containers": [{"name": "app", "image": BASE, **container}]}}


def handler(*command: str) -> dict[str, object]:
    return {"exec": {"command": list(command)}}


def written() -> dict[str, Policy]:
    older = PolicySettings(contract=CONTRACTS["0.10"])
    hooks = pod(
        command=["/bin/sh"], args=["-c", "sleep 3600"], livenessProbe=handler("cat", "/tmp/healthy"),
        readinessProbe=handler("cat", "/tmp/ready"), startupProbe=handler("cat", "/tmp/started"),
        lifecycle={"postStart": handler("echo", "started"), "preStop": handler("echo", "stopping")},
    )  # fmt: skip
    hooks["spec"]["initContainers"] = [  # type: ignore[index]
        {"name": "init-setup", "image": BASE, "command": ["/bin/sh"], "args": ["-c", "echo init"]}
    ]
    capabilities = {"capabilities": {"add": ["CAP_SYS_TIME", "CAP_DAC_READ_SEARCH"]}}
    return {
        "group with a variable": container_group_policy(
            group(environmentVariables=[{"name": "MY_VAR", "value": "MY_VAL"}]),
            BASE_IMAGE,
            PolicySettings(contract=CONTRACTS["0.10"], infrastructure_svn="1"),
        ),
        "privileged pod": indented(virtual_node_policy(pod(securityContext={"privileged": True}), BASE_IMAGE, older)),
        "pod with hooks": indented(virtual_node_policy(hooks, BASE_IMAGE, PolicySettings())),
        "group with capabilities": container_group_policy(
            group(securityContext=capabilities), BASE_IMAGE, PolicySettings()
        ),
    }


def indented(policy: Policy) -> Policy:
    return render(parse_policy(policy.text), pretty=True)


@pytest.mark.parametrize("name", LENGTHS)
def test_a_policy_has_the_length_of_the_azure_tooling_and_the_reviewed_text(name: str) -> None:
    text = written()[name].text
    assert len(text) == LENGTHS[name]
    assert text == (DATA / f"{name.replace(' ', '-')}.rego").read_text()


def test_the_host_data_is_the_digest_of_the_very_bytes() -> None:
    policy = written()["group with a variable"]
    assert policy.host_data == hashlib.sha256(policy.text.encode()).hexdigest()
    assert not policy.text.endswith("\n")


def test_contracts_differ_in_version_signals_and_one_rule() -> None:
    older, newer = (
        parse_policy(virtual_node_policy(POD, IMAGES, PolicySettings(contract=CONTRACTS[contract])).text)
        for contract in ("0.10", "0.11")
    )
    assert (older.api_version, newer.api_version) == ("0.10.0", "0.11.0")
    assert (older.rules, newer.rules) == (CONTRACTS["0.10"].rules, CONTRACTS["0.11"].rules)
    assert {container.signals for container in older.containers} == {()}
    assert {container.signals for container in newer.containers} == {(9, 15)}


def test_text_outside_ascii_is_escaped() -> None:
    value = "Größe 文"
    text = virtual_node_policy(pod(env=[{"name": "A", "value": value}]), BASE_IMAGE, PolicySettings()).text
    assert text.isascii()
    assert json.dumps(f"A={value}")[1:-1] in text
    assert parse_policy(text).containers[0].env_rules[0].pattern == f"A={value}"


SCRIPT = """
from confidential_summarizer.policy.settings import PolicySettings
from confidential_summarizer.policy.virtual_node import virtual_node_policy
from tests.support.policy_scenarios import IMAGES, POD
print(virtual_node_policy(POD, IMAGES, PolicySettings()).host_data)
"""


@pytest.mark.slow
def test_hash_seeds_time_zones_and_locales_do_not_change_the_bytes() -> None:
    found = set()
    for seed in range(20):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": str(seed),
            "TZ": ["UTC", "Asia/Tokyo"][seed % 2],
            "LC_ALL": ["C", "C.UTF-8"][seed // 2 % 2],
            "PYTHONPATH": str(Path(__file__).parents[3]),
        }
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
        )
        found.add(done.stdout)
    assert found == {virtual_node_policy(POD, IMAGES, PolicySettings()).host_data + "\n"}
