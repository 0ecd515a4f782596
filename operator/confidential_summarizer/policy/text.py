"""The text of a policy, to the byte as the Azure tooling writes it.

What differs between the releases of that tooling is in `contracts`.
"""

import json
from dataclasses import asdict

from confidential_summarizer.policy.document import ContainerRules, Fragment, Policy, PolicyDocument

SIDECAR_PACKAGE = "microsoftcontainerinstance"


def render(document: PolicyDocument, *, pretty: bool = False) -> Policy:
    """Write a policy; `pretty` indents the containers, which gives another identity to the same rules."""
    containers = _containers(document.containers, pretty=pretty)
    versions = f'api_version := "{document.api_version}"\nframework_version := "{document.framework_version}"\n'
    if document.package == SIDECAR_PACKAGE:
        return Policy(f"package {SIDECAR_PACKAGE}\n\n{versions}\ncontainers := {containers}")
    flags = "".join(
        f"{name} := {str(value).lower()}\n" for name, value in asdict(document.flags).items() if value is not None
    )
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
    objects = [container.to_json() for container in containers]
    if pretty:
        return json.dumps(objects, indent=2, sort_keys=True, default=vars)
    return json.dumps(objects, separators=(",", ":"), sort_keys=True, default=vars)
