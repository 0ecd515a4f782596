"""Environment rules: the variables of the manifest, of the image, and those that the service adds by itself."""

from collections.abc import Iterable, Sequence

from confidential_summarizer.policy.document import EnvRule

INJECTED = (
    EnvRule("TERM=xterm"),
    EnvRule("(?i)(FABRIC)_.+=.+", "re2"),
    EnvRule("HOSTNAME=.+", "re2"),
    EnvRule("T(E)?MP=.+", "re2"),
    EnvRule("FabricPackageFileName=.+", "re2"),
    EnvRule("HostedServiceName=.+", "re2"),
    EnvRule("IDENTITY_API_VERSION=.+", "re2"),
    EnvRule("IDENTITY_HEADER=.+", "re2"),
    EnvRule("IDENTITY_SERVER_THUMBPRINT=.+", "re2"),
    EnvRule("azurecontainerinstance_restarted_by=.+", "re2"),
)
"""Variables that Azure Container Instances sets in every container."""

SERVICE_LINKS = tuple(
    EnvRule(f"[A-Z0-9_]+_{name}=.+", "re2")
    for name in (
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SERVICE_PORT_[A-Z0-9_]+",
        "PORT",
        "PORT_[0-9]+_TCP",
        "PORT_[0-9]+_TCP_PROTO",
        "PORT_[0-9]+_TCP_PORT",
        "PORT_[0-9]+_TCP_ADDR",
    )
)
"""Variables that a kubelet sets for each service it knows."""

WORKLOAD_IDENTITY = tuple(
    EnvRule(f"{name}=.+", "re2")
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST")
)
"""Variables that the workload identity webhook sets."""


def env_rules(own: Sequence[EnvRule], image: Iterable[str], injected: Iterable[EnvRule]) -> tuple[EnvRule, ...]:
    """The manifest's variables, then those of the image and of the service whose names are not taken yet, in order.

    Args:
        own: Rules for the manifest's variables.
        image: The image's `Env`, each `NAME=value`.
        injected: Rules for what the service adds.
    """
    rules = list(own)
    for rule in (*(EnvRule(variable) for variable in image), *injected):
        if all(rule.name != known.name for known in rules):
            rules.append(rule)
    return tuple(rules)


def wildcard(name: str) -> EnvRule:
    """Any value for one variable, the empty one included."""
    return EnvRule(f"{name}=.*", "re2")
