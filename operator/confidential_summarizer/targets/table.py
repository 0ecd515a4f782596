"""The targets that there are: one row each. A third one is a folder and a row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from confidential_summarizer.api.target import TargetKind
from confidential_summarizer.kube import KubernetesAPI
from confidential_summarizer.targets.container_group.target import (
    ContainerGroupTarget,
    PageStatus,
    Subscriptions,
)
from confidential_summarizer.targets.target import Render, Target, Targets
from confidential_summarizer.targets.virtual_node.target import VirtualNodeTarget

Open = Callable[[KubernetesAPI, Subscriptions, PageStatus], Target[Any]]
"""Gives a target the edges that it needs, of all that there are."""


@dataclass(frozen=True)
class Row:
    """One target: how it renders, which needs nothing but values, and how it is opened."""

    render: Render
    open: Open


TARGETS: Mapping[TargetKind, Row] = {
    TargetKind.VIRTUAL_NODE: Row(VirtualNodeTarget.render, lambda kube, subscriptions, pages: VirtualNodeTarget(kube)),
    TargetKind.CONTAINER_GROUP: Row(
        ContainerGroupTarget.render, lambda kube, subscriptions, pages: ContainerGroupTarget(subscriptions, pages, kube)
    ),
}


def targets(kube: KubernetesAPI, subscriptions: Subscriptions, pages: PageStatus) -> Targets:
    """Return every target with its edges."""
    return {kind: row.open(kube, subscriptions, pages) for kind, row in TARGETS.items()}
