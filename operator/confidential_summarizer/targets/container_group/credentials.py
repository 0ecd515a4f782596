"""The pull secret of a private registry, added to a group's body at the moment it is sent and kept nowhere. Pure."""

from collections.abc import Mapping
from typing import Any

from confidential_summarizer.registry import ImageReference, pull_secret
from confidential_summarizer.targets.container_group.state import GroupBody


def with_credentials(group: GroupBody, secret: Mapping[str, Any] | None) -> GroupBody:
    """Return the group with the user and password for each registry that its images come from.

    Args:
        group: The body as it was rendered; it holds no secret, and neither does any hash of it.
        secret: A decoded `.dockerconfigjson`, or None.

    Raises:
        SpecError: An entry of the secret is not what the format asks for.
    """
    if secret is None:
        return group
    known = pull_secret(secret)
    found: dict[str, dict[str, str]] = {}
    for container in group["properties"]["containers"]:
        image = ImageReference.parse(container["properties"]["image"])
        credential = known.find(image.registry, image.repository)
        if credential is not None and credential.password:
            found[image.registry] = {
                "server": image.registry,
                "username": credential.username,
                "password": credential.password,
            }
    if not found:
        return group
    given = [found[server] for server in sorted(found)]
    return {**group, "properties": {**group["properties"], "imageRegistryCredentials": given}}
