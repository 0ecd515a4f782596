"""The container group that a ConfidentialSummarizer asks for, as a value. Pure; the targets render it.

Two containers share the group: the summarizer, which makes its own evidence, and the encrypted-file-system sidecar (key
release and mounts). Nothing here knows a policy hash: the group is measured, not the other way round.

Sources: `EncfsSideCarArgs` and the sidecars' behaviour from microsoft/confidential-sidecar-containers, v2.12.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from confidential_summarizer.api.batch import ANY_SHARD, SHARD_INDEX, Batch, ShardBy
from confidential_summarizer.api.file_systems import BlobAccess, FileSystem, KeyType, Role
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.api.spec import Profile

SUMMARIZER = "summarizer"
ENCFS = "encrypted-file-systems"

SUMMARIZER_CAPABILITIES = ("CAP_SETGID", "CAP_SETUID")
"""What the summarizer starts with of root's rights: those by which it gives root up, and no more."""

REMOTE_VOLUME = "remote"
REMOTE_PATH = "/mnt/remote"
"""The parent of every mount point: the sidecar makes each one a symbolic link, so the parent has to be the volume."""

PAGE_PORT = 8501
READINESS_PERIOD_SECONDS = 2
"""Summaries are there within seconds; a slower probe would only delay Ready."""


ENDS_WITH_SUMMARIZER = (
    "trap 'exit 0' TERM; /encfs.sh & "
    f"listens() {{ read -rd '' table </proc/net/tcp; [[ $table == *:{PAGE_PORT:04X}\\ 00000000:0000\\ 0A* ]]; }}; "
    "until listens || (( SECONDS > 600 )); do sleep 1; done; while listens; do sleep 1; done"
)
"""The sidecar stays for ever, and with it its group; in a batch it ends once nobody listens on the summarizer's port,
however the summarizer ended. The containers of a group share their network, and nothing else that would tell. In bash,
which the image has, as Azure knows no sidecar that ends by itself; the policy pins these words. Of a line in
/proc/net/tcp (proc(5)): the local address and port, the remote ones, and the state, of which 0A is LISTEN."""


@dataclass(frozen=True)
class Container:
    """One container of the group; an empty command means the image's own.

    Attributes:
        image: Reference pinned by digest.
        cpu: Cores, as a Kubernetes quantity.
        memory: Bytes, as a Kubernetes quantity.
        capabilities: All that the container has, unless it is privileged.
        readiness_path: HTTPS path on the first port that answers 200 once the container is ready.
    """

    name: str
    image: str
    cpu: str
    memory: str
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    privileged: bool = False
    capabilities: tuple[str, ...] = ()
    readiness_path: str | None = None


@dataclass(frozen=True)
class Blueprint:
    """Everything about the group that does not depend on where it is deployed.

    Attributes:
        batch: Set where the group ends when its work is done.
    """

    name: str
    namespace: str
    replicas: int
    batch: Batch | None
    containers: tuple[Container, ...]
    identity: str


def image_references(resource: ConfidentialSummarizer) -> dict[str, str]:
    """Return the reference of every container's image, by container name: the resource alone decides them."""
    return {SUMMARIZER: resource.spec.image, ENCFS: resource.spec.sidecars.encfs}


def blueprint(
    resource: ConfidentialSummarizer, images: Mapping[str, str], *, token_sha256: str | None = None
) -> Blueprint:
    """Work out the container group of a resource.

    Args:
        resource: What the cluster admin wants.
        images: Reference pinned by digest, by container name (`image_references` names them).
        token_sha256: SHA-256 (64 hexadecimal digits) of the readers' token, if reading needs one.
    """
    spec = resource.spec
    # Kubernetes adds the variable to every container, whoever needs it.
    index = {} if spec.batch is None else {SHARD_INDEX: ANY_SHARD}
    return Blueprint(
        name=resource.metadata.name,
        namespace=resource.metadata.namespace,
        replicas=spec.replicas,
        batch=spec.batch,
        containers=(
            Container(
                name=SUMMARIZER,
                image=images[SUMMARIZER],
                cpu=spec.resources.cpu,
                memory=spec.resources.memory,
                environment=summarizer_environment(resource, token_sha256) | index,
                ports=(PAGE_PORT,),
                capabilities=SUMMARIZER_CAPABILITIES,
                readiness_path="/readyz",
            ),
            Container(
                name=ENCFS,
                image=images[ENCFS],
                cpu="1",
                memory="2G",
                command=("/encfs.sh",) if spec.batch is None else ("/bin/bash", "-c", ENDS_WITH_SUMMARIZER),
                environment={"EncfsSideCarArgs": sidecar_arguments(spec.file_systems, spec.identity.client_id)} | index,
                privileged=True,
            ),
        ),
        identity=spec.identity.resource_id,
    )


def summarizer_environment(resource: ConfidentialSummarizer, token_sha256: str | None) -> dict[str, str]:
    """Return the summarizer's settings; the policy pins every one of them."""
    spec = resource.spec
    models = spec.file_systems_with(Role.MODELS)
    environment = {
        "SUMMARIZER_DOCUMENTS": json.dumps([_document_set(one) for one in spec.documents], separators=(",", ":")),
        "SUMMARIZER_MODELS": ",".join(spec.summarizer.models),
        "SUMMARIZER_MODELS_DIRECTORY": mount_point(models[0]) if models else "/models",
        "SUMMARIZER_MAX_WORDS": str(spec.summarizer.max_words),
        "SUMMARIZER_ENGINE": spec.summarizer.engine.value,
        "SUMMARIZER_GUARD": spec.summarizer.guard.mode.value,
        "SUMMARIZER_GUARD_SHARE": str(spec.summarizer.guard.max_share),
        "SUMMARIZER_GUARD_RUN": str(spec.summarizer.guard.max_run),
        "SUMMARIZER_GUARD_SHORTEST": str(spec.summarizer.guard.min_letters),
        "SUMMARIZER_SHOW_NAMES": str(spec.summarizer.show_names).lower(),
        "SUMMARIZER_PORT": str(PAGE_PORT),
        "SUMMARIZER_PROFILE": spec.policy.profile.value,
        "SUMMARIZER_MAA": spec.attestation,
    }
    if spec.identity.client_id is not None and any(one.output is not None for one in spec.documents):
        environment["SUMMARIZER_IDENTITY"] = spec.identity.client_id
    if spec.batch is not None:
        environment["SUMMARIZER_SHARDS"] = str(spec.batch.shards)
        # The default is not said: so what was approved before there was a choice keeps its policy.
        if spec.batch.shard_by is not ShardBy.DOCUMENT:
            environment["SUMMARIZER_SHARD_BY"] = spec.batch.shard_by.value
    for file_system in models:
        environment["SUMMARIZER_MODELS_SHA256"] = str(file_system.content_sha256)
    if token_sha256 is not None:
        environment["SUMMARIZER_TOKEN_SHA256"] = token_sha256
    return environment


def _document_set(file_system: FileSystem) -> dict[str, Any]:
    """Say where documents appear, what they have to be and who gets their results, as the summarizer reads it."""
    said = {
        "directory": mount_point(file_system),
        "sha256": file_system.content_sha256,
        "key": file_system.content_key,
        "minVersion": file_system.min_version,
        "output": file_system.output and file_system.output.blob_prefix,
        "recipient": file_system.output and file_system.output.recipient,
    }
    return {name: value for name, value in said.items() if value is not None}


def mount_point(file_system: FileSystem) -> str:
    """Return where the group finds an opened file system."""
    return f"{REMOTE_PATH}/{file_system.name}"


def sidecar_arguments(file_systems: list[FileSystem], client_id: str | None = None) -> str:
    """Return the value of `EncfsSideCarArgs`: base64 (standard alphabet, padded) of compact JSON, keys sorted.

    It holds neither a key nor a policy hash, so it can be pinned in the policy that the hash is made of.
    """
    document: dict[str, Any] = {"azure_filesystems": [_sidecar_file_system(one) for one in file_systems]}
    if client_id is not None:
        document["azure_info"] = {"identity": {"client_id": client_id}}
    return base64.b64encode(json.dumps(document, separators=(",", ":"), sort_keys=True).encode()).decode()


def _sidecar_file_system(file_system: FileSystem) -> dict[str, Any]:
    key = file_system.key
    arguments: dict[str, Any] = {
        "mount_point": mount_point(file_system),
        "azure_url": file_system.blob_url,
        "azure_url_private": file_system.access is BlobAccess.MANAGED_IDENTITY,
        "read_write": False,  # what is written goes out encrypted, not into a file system that storage can swap
        "key": {
            "kid": key.name,
            "kty": key.type.value,
            "authority": {"endpoint": key.attestation},
            "akv": {"endpoint": key.vault},
        },
    }
    if key.type is KeyType.RSA_HSM and key.derivation is not None:
        arguments["key_derivation"] = {"salt": key.derivation.salt, "label": key.derivation.label}
    return arguments


def is_debug(resource: ConfidentialSummarizer) -> bool:
    """Tell whether the resource asks for the profile that lets the host look into the group."""
    return resource.spec.policy.profile is Profile.DEBUG
