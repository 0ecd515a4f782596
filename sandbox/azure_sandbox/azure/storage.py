"""`*.blob.core.windows.net`: Azurite behind a front that asks for roles, which Azurite does not know.

Azurite checks account keys and shared access signatures itself, with all that these restrict. What a token may do, and
what the maker of a user delegation signature may do, is decided here, by the tenant's role assignments.
Sources: Azure Storage, "Authorize with Microsoft Entra ID", "Create a user delegation SAS"; its error codes.
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from aiohttp import web

from azure_sandbox.azure.roles import READ_BLOBS, WRITE_BLOBS, Roles
from azure_sandbox.azure.tokens import TokenRejected, Tokens, bearer
from azure_sandbox.names import LOGIN, TENANT
from azure_sandbox.network.front import Front

RESOURCE = "https://storage.azure.com"

READING = frozenset({"GET", "HEAD", "OPTIONS"})

MISMATCH = "This request is not authorized to perform this operation using this permission."
UNAUTHENTICATED = (
    "Server failed to authenticate the request. Please refer to the information in the www-authenticate header."
)


class Storage:
    """The routes of all blob accounts.

    Args:
        tokens: Checks who calls.
        roles: Who may do what.
        front: The way to Azurite.
    """

    def __init__(self, tokens: Tokens, roles: Roles, front: Front) -> None:
        self.tokens = tokens
        self.roles = roles
        self.front = front

    def application(self) -> web.Application:
        """Return the hosts' application."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self.handle)
        return application

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer any request."""
        token = bearer(request.headers.get("Authorization"))
        who = request.query.get("skoid")  # whose key a user delegation signature is made with
        if token is not None:
            try:
                who = self.tokens.check(token, [RESOURCE, f"https://{request.host}"]).object_id
            except TokenRejected:
                return _unauthenticated()
        if who is not None and not self.roles.allow(who, _action(request), _resource(request)):
            return refusal(403, "AuthorizationPermissionMismatch", MISMATCH)
        return await self.front.forward(request)


def _action(request: web.Request) -> str:
    delegation = request.method == "POST" and request.query.get("comp") == "userdelegationkey"
    return READ_BLOBS if request.method in READING or delegation else WRITE_BLOBS


def _resource(request: web.Request) -> str:
    """What the request is about, as scopes of roles name it: the account or one container."""
    return f"{request.host}/{request.path.split('/')[1]}".rstrip("/").lower()


def _unauthenticated() -> web.Response:
    challenge = f"Bearer authorization_uri=https://{LOGIN}/{TENANT}/oauth2/authorize resource_id={RESOURCE}"
    answer = refusal(401, "InvalidAuthenticationInfo", UNAUTHENTICATED)
    answer.headers["WWW-Authenticate"] = challenge
    return answer


def refusal(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an error in the service's form."""
    request_id, time = str(uuid.uuid4()), datetime.now(UTC).isoformat().replace("+00:00", "Z")
    text = f"<Code>{code}</Code><Message>{escape(message)}\nRequestId:{request_id}\nTime:{time}</Message>"
    return web.Response(
        status=status,
        text=f'<?xml version="1.0" encoding="utf-8"?><Error>{text}</Error>',
        content_type="application/xml",
        headers={"x-ms-error-code": code, "x-ms-request-id": request_id, **(headers or {})},
    )
