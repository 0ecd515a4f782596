"""Which roles the identities of a resource need in storage and registries, and whether they have them."""

from dataclasses import dataclass

from confidential_summarizer.api.file_systems import BlobAccess
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.azure.blob_url import BlobURL
from confidential_summarizer.azure.role_assignments import Role
from confidential_summarizer.blueprint import image_references
from confidential_summarizer.cli.check.world import Row, Verdict, World
from confidential_summarizer.errors import NotFound
from confidential_summarizer.hosts import is_azure_registry
from confidential_summarizer.registry import ImageReference


@dataclass(frozen=True)
class WantedRole:
    """A role that an identity needs on a blob container, or on a registry.

    Attributes:
        what: Names it in the answer.
        identity: ARM id.
        place: The blobs, or the host name of the registry.
    """

    what: str
    identity: str
    role: Role
    place: BlobURL | str


def wanted_roles(resource: ConfidentialSummarizer) -> list[WantedRole]:
    """Return the roles that a resource's identities need, each once."""
    spec, identity = resource.spec, resource.spec.identity.resource_id
    blobs = [
        (Role.BLOB_READER, BlobURL.parse(f.blob_url))
        for f in spec.file_systems
        if f.access is BlobAccess.MANAGED_IDENTITY
    ]
    outputs = [one.output.blob_prefix for one in spec.documents if one.output is not None]
    blobs += [(Role.BLOB_CONTRIBUTOR, BlobURL.parse(prefix)) for prefix in outputs]
    found = [WantedRole(f"{role} on {url.account}/{url.container}", identity, role, url) for role, url in blobs]
    puller = spec.registry_credentials.identity if spec.registry_credentials is not None else None
    if puller is not None:
        registries = dict.fromkeys(ImageReference.parse(one).registry for one in image_references(resource).values())
        azure = filter(is_azure_registry, registries)
        found += [WantedRole(f"{Role.ACR_PULL} on {host}", puller, Role.ACR_PULL, host) for host in azure]
    return list({wanted.what: wanted for wanted in found}.values())


async def held(world: World, wanted: WantedRole) -> list[Row]:
    """Whether an identity has a role; where Resource Manager does not show that, nobody knows."""
    subscription, place = wanted.identity.split("/")[2], wanted.place
    try:
        async with world.roles(subscription) as assignments:
            if isinstance(place, BlobURL):
                found = await assignments.on_container(wanted.identity, place.account, place.container)
            else:
                found = await assignments.on_registry(wanted.identity, place)
    except NotFound as error:
        return [Row(wanted.what, Verdict.UNKNOWN, f"{str(error).rstrip('.')}, or not to you: ask its owner")]
    if found.includes(wanted.role):
        return [Row(wanted.what, Verdict.OK, f"the identity {wanted.identity.rpartition('/')[2]} has it")]
    remedy = (
        f'az role assignment create --role "{wanted.role}" --assignee-object-id {found.principal} '
        f"--assignee-principal-type ServicePrincipal --scope {found.scope}"
    )
    return [Row(wanted.what, Verdict.MISSING, f"{wanted.identity.rpartition('/')[2]} does not have it: `{remedy}`")]
