"""The instance metadata service of one container group (169.254.169.254): its identities' tokens, AMD's certificates.

Formats: Azure's IMDS token endpoint (all values are strings) and the THIM certificate endpoint, as the confidential
sidecars read them.
"""

import base64
import json
import time
from collections.abc import Callable, Mapping, Sequence

from aiohttp import web

from azure_sandbox.azure.principals import Principal
from azure_sandbox.azure.tokens import LIFETIME, Tokens

TOKEN_VERSION = "2018-02-01"  # noqa: S105  (an API version)

SELECTORS: Mapping[str, Callable[[Principal], str | None]] = {
    "client_id": lambda principal: principal.client_id,
    "object_id": lambda principal: principal.object_id,
    "mi_res_id": lambda principal: principal.resource_id,
    "msi_res_id": lambda principal: principal.resource_id,
}
"""The ways to name one identity; azure-identity writes the last one, the documentation both."""


def metadata_application(
    identities: Callable[[], Sequence[Principal]], tokens: Tokens, host_amd_cert_base64: str
) -> web.Application:
    """Return a group's metadata service.

    Args:
        identities: The identities that the group has at this moment.
        tokens: Signs.
        host_amd_cert_base64: What the THIM endpoint says, as in the security context.
    """

    async def token(request: web.Request) -> web.Response:
        if (refusal := _refuse(request)) is not None:
            return refusal
        resource = request.query.get("resource")
        if not resource:
            return _bad_request("invalid_resource", "AADSTS500011: the request names no resource.")
        held = _selected(identities(), request.query)
        if not held:
            return _bad_request("invalid_request", "Identity not found")
        if len(held) > 1:
            text = "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity"
            return _bad_request("invalid_request", f"{text} in the token request")
        issued = tokens.issue(held[0], resource)
        return web.json_response(
            {
                "access_token": issued.value,
                "client_id": held[0].client_id,
                "expires_in": str(issued.expires_on - int(time.time())),
                "expires_on": str(issued.expires_on),
                "ext_expires_in": str(LIFETIME),
                "not_before": str(issued.expires_on - LIFETIME),
                "resource": resource,
                "token_type": "Bearer",
            }
        )

    async def certification(request: web.Request) -> web.Response:
        if request.headers.get("Metadata", "").lower() != "true":
            return _bad_request("invalid_request", "Required metadata header not specified")
        return web.json_response(json.loads(base64.b64decode(host_amd_cert_base64)))

    application = web.Application()
    application.router.add_get("/metadata/identity/oauth2/token", token)
    application.router.add_get("/metadata/THIM/amd/certification", certification)
    return application


def _refuse(request: web.Request) -> web.Response | None:
    if request.headers.get("Metadata", "").lower() != "true":
        return _bad_request("invalid_request", "Required metadata header not specified")
    if request.query.get("api-version") != TOKEN_VERSION:
        return _bad_request("invalid_request", f"The sandbox knows api-version {TOKEN_VERSION} only")
    return None


def _selected(identities: Sequence[Principal], query: Mapping[str, str]) -> Sequence[Principal]:
    for parameter, attribute in SELECTORS.items():
        if wanted := query.get(parameter):
            return [one for one in identities if (attribute(one) or "").lower() == wanted.lower()]
    return identities


def _bad_request(error: str, description: str) -> web.Response:
    return web.json_response({"error": error, "error_description": description}, status=400)
