"""The Kubernetes API behind one small Protocol; the only place that imports a Kubernetes client."""

from confidential_summarizer.kube.api import (
    CONFIG_MAP,
    DEPLOYMENT,
    EVENT,
    GRANT,
    JOB,
    LEASE,
    NAMESPACE,
    POD,
    POD_DISRUPTION_BUDGET,
    SECRET,
    SERVICE,
    SUMMARIZER,
    Kind,
    KubernetesAPI,
    Object,
)

__all__ = [
    "CONFIG_MAP",
    "DEPLOYMENT",
    "EVENT",
    "GRANT",
    "JOB",
    "LEASE",
    "NAMESPACE",
    "POD",
    "POD_DISRUPTION_BUDGET",
    "SECRET",
    "SERVICE",
    "SUMMARIZER",
    "Kind",
    "KubernetesAPI",
    "Object",
]
