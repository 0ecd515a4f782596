"""Confidential-computing enforcement policies: measured from images, written, read, compared, explained and enforced.

The names are loaded when they are first asked for, so that a process that only measures a layer starts without the
rest.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from confidential_summarizer.policy.container_group import container_group_policy
    from confidential_summarizer.policy.denial import Denial, explain, find_denial
    from confidential_summarizer.policy.document import Policy, PolicyDocument
    from confidential_summarizer.policy.enforcement import Decision, Enforcer
    from confidential_summarizer.policy.layers.cache import DiskCache, LayerCache, MemoryCache
    from confidential_summarizer.policy.measurement import MeasuredImage, measure
    from confidential_summarizer.policy.parsing import parse_policy
    from confidential_summarizer.policy.settings import PolicySettings
    from confidential_summarizer.policy.virtual_node import POLICY_ANNOTATION, virtual_node_policy

__all__ = [
    "POLICY_ANNOTATION",
    "Decision",
    "Denial",
    "DiskCache",
    "Enforcer",
    "LayerCache",
    "MeasuredImage",
    "MemoryCache",
    "Policy",
    "PolicyDocument",
    "PolicySettings",
    "container_group_policy",
    "explain",
    "find_denial",
    "measure",
    "parse_policy",
    "virtual_node_policy",
]

_MODULES = {
    "container_group": ("container_group_policy",),
    "denial": ("Denial", "explain", "find_denial"),
    "document": ("Policy", "PolicyDocument"),
    "enforcement": ("Decision", "Enforcer"),
    "layers.cache": ("DiskCache", "LayerCache", "MemoryCache"),
    "measurement": ("MeasuredImage", "measure"),
    "parsing": ("parse_policy",),
    "settings": ("PolicySettings",),
    "virtual_node": ("POLICY_ANNOTATION", "virtual_node_policy"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
