"""Environment rules: the variables of the manifest, of the image, and those that the service adds by itself."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from confidential_summarizer.api.batch import SHARD_INDEX
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

_LINKS = (
    "SERVICE_HOST",
    "SERVICE_PORT",
    "SERVICE_PORT_[A-Z0-9_]+",
    "PORT",
    "PORT_[0-9]+_TCP",
    "PORT_[0-9]+_TCP_PROTO",
    "PORT_[0-9]+_TCP_PORT",
    "PORT_[0-9]+_TCP_ADDR",
)

SERVICE_LINKS = tuple(EnvRule(f"[A-Z0-9_]+_{name}=.+", "re2") for name in _LINKS)
"""Variables that a kubelet sets for each service it knows."""

SHARD = EnvRule(f"{SHARD_INDEX}=[0-9]+", "re2")
"""Which shard a group of a batch is: all have one policy. Whoever starts groups can leave a shard out in any case."""

WORKLOAD_IDENTITY = tuple(
    EnvRule(f"{name}=.+", "re2")
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST")
)
"""Variables that the workload identity webhook sets."""


_NARROWER = {
    **{rule: EnvRule(f"KUBERNETES_{name}=.+", "re2") for rule, name in zip(SERVICE_LINKS, _LINKS, strict=True)},
    EnvRule("(?i)(FABRIC)_.+=.+", "re2"): EnvRule("(?i:FABRIC)_.+=.+", "re2"),
}
"""A pod without service links gets those of the service `kubernetes` alone; a flag in the middle is valid in no
expression that begins with an anchor, outside of RE2."""


def closed(rules: Iterable[EnvRule]) -> tuple[EnvRule, ...]:
    """Return rules that match whole variables in any guest, and of service links those that no pod can do without.

    Guests before May 2025 look for an expression anywhere in a variable: there `HOSTNAME=.+` let
    `LD_PRELOAD=/x:HOSTNAME=y` in. And `[A-Z0-9_]+_PORT=.+` would let the host set a variable of the workload's own.
    """
    return tuple(_closed(_NARROWER.get(rule, rule)) for rule in rules)


def _closed(rule: EnvRule) -> EnvRule:
    return replace(rule, pattern=f"^{rule.pattern}$") if rule.strategy == "re2" else rule


_PLATFORM = (*INJECTED, *SERVICE_LINKS, *WORKLOAD_IDENTITY)

PLATFORM = frozenset((*_PLATFORM, *closed(_PLATFORM)))
"""What the platform is responsible for, in either form; any other expression is the manifest's."""


def env_rules(own: Sequence[EnvRule], image: Iterable[str], injected: Iterable[EnvRule]) -> tuple[EnvRule, ...]:
    """The manifest's variables, then those of the image and of the service whose names are not taken yet, in order.

    Args:
        own: Rules for the manifest's variables.
        image: The image's `Env`, each `NAME=value`.
        injected: Rules for what the service adds.
    """
    rules, names = list(own), {rule.name for rule in own}
    for rule in (*(EnvRule(variable) for variable in image), *injected):
        if rule.name not in names:
            rules.append(rule)
            names.add(rule.name)
    return tuple(rules)


def wildcard(name: str) -> EnvRule:
    """Any value for one variable, the empty one included."""
    return EnvRule(f"{name}=.*", "re2")
