"""The text of a policy, to the byte as the Azure tooling writes it.

Two contracts: `0.10` (api_version "0.10.0", confcom 1.x) and `0.11` (api_version "0.11.0", confcom 2.2 and later).
"""

import json
from dataclasses import asdict
from typing import Any

from confidential_summarizer.policy.document import ContainerRules, Fragment, Policy, PolicyDocument

API_VERSIONS = {"0.10": "0.10.0", "0.11": "0.11.0"}
RULES_0_10 = (
    "mount_device",
    "unmount_device",
    "mount_overlay",
    "unmount_overlay",
    "create_container",
    "exec_in_container",
    "exec_external",
    "shutdown_container",
    "signal_container_process",
    "plan9_mount",
    "plan9_unmount",
    "get_properties",
    "dump_stacks",
    "runtime_logging",
    "load_fragment",
    "scratch_mount",
    "scratch_unmount",
)
RULES_0_11 = (*RULES_0_10, "rw_mount_device")
"""Contract 0.11 hands one more enforcement point to the framework."""
SIDECAR_PACKAGE = "microsoftcontainerinstance"


def render(document: PolicyDocument, *, pretty: bool = False) -> Policy:
    """Write a policy; `pretty` indents the containers, which gives another identity to the same rules."""
    containers = _containers(document.containers, pretty=pretty)
    versions = f'api_version := "{document.api_version}"\nframework_version := "{document.framework_version}"\n'
    if document.package == SIDECAR_PACKAGE:
        return Policy(f"package {SIDECAR_PACKAGE}\n\n{versions}\ncontainers := {containers}")
    flags = "".join(f"{name} := {str(value).lower()}\n" for name, value in asdict(document.flags).items())
    bindings = "".join(f"{rule} := data.framework.{rule}\n" for rule in document.rules)
    return Policy(
        f"package {document.package}\n\n"
        "import future.keywords.every\nimport future.keywords.in\n\n"
        f"{versions}\n"
        f"fragments := {_fragments(document.fragments)}\n\n"
        f"containers := {containers}\n\n"
        f"{flags}\n"
        f"{bindings}\n"
        'reason := {"errors": data.framework.errors}'
    )


def _fragments(fragments: tuple[Fragment, ...]) -> str:
    return json.dumps([fragment.to_json() for fragment in fragments], indent=2, sort_keys=True)


def _containers(containers: tuple[ContainerRules, ...], *, pretty: bool) -> str:
    objects: list[dict[str, Any]] = [container.to_json() for container in containers]
    if pretty:
        return json.dumps(objects, indent=2, sort_keys=True)
    return json.dumps(objects, separators=(",", ":"), sort_keys=True)
