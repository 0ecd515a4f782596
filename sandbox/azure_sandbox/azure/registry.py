"""`*.azurecr.io` and `mcr.microsoft.com`: the CNCF distribution behind a front that hands out its tokens.

The distribution asks for tokens itself and checks them (its token authentication); here are the addresses that its
challenge leads to. Source: Azure Container Registry, "AAD-OAuth" and its REST reference.

| request | answer |
| --- | --- |
| `POST /oauth2/exchange` | a refresh token for a token of Azure AD |
| `POST /oauth2/token` | an access token for a refresh token, or for user and password |
| `GET /oauth2/token` | an access token for user and password (Basic), or for nobody |

A user is an application by its client id and secret, or `00000000-0000-0000-0000-000000000000` with a refresh token.
Nobody may pull what is public, as Microsoft's images are, and nothing else.
"""

import base64
import hmac
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import aiohttp
import jwt
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from azure_sandbox.azure.principals import Principals
from azure_sandbox.azure.roles import PULL, PUSH, Roles
from azure_sandbox.azure.tokens import TokenRejected, Tokens
from azure_sandbox.certificates import CertificateAuthority
from azure_sandbox.names import PUBLIC_REGISTRY, REGISTRY
from azure_sandbox.network.front import Front
from azure_sandbox.registry import ISSUER

AUDIENCES = (
    "https://containerregistry.azure.net",
    "https://management.azure.com",
    "https://management.core.windows.net",
)
"""What tokens of Azure AD that are exchanged are made out to; the Azure CLI takes the last one."""

TOKEN_USER = "00000000-0000-0000-0000-000000000000"  # noqa: S105  (nobody's secret)
"""The user whose password is a refresh token."""

PUBLIC = "aci/"
"""What the repositories in the public registry begin with that anybody may pull from."""

ACCESS_SECONDS = 75 * 60
REFRESH_SECONDS = 3 * 3600
"""As the service's tokens last."""

SIGNING_NAME = "tokens.azurecr.io"
ALGORITHM = "ES256"


class Denied(Exception):
    """The credential is not taken."""


class Registries:
    """The routes of all registries.

    Args:
        principals: Who there is.
        tokens: Checks tokens of Azure AD.
        roles: Who may do what.
        authority: Signs the certificate that the distribution knows our tokens by.
        front: The way to the distribution.
    """

    def __init__(
        self, principals: Principals, tokens: Tokens, roles: Roles, authority: CertificateAuthority, front: Front
    ) -> None:
        self.principals = principals
        self.tokens = tokens
        self.roles = roles
        self.front = front
        pem = authority.leaf(SIGNING_NAME).read_bytes()
        self._key = serialization.load_pem_private_key(pem, None)
        self._certificate = x509.load_pem_x509_certificates(pem)[0]

    def application(self) -> web.Application:
        """Return the hosts' application."""
        application = web.Application()
        application.router.add_post("/oauth2/exchange", self.exchange)
        application.router.add_post("/oauth2/token", self.trade)
        application.router.add_get("/oauth2/token", self.sign_in)
        application.router.add_route("*", "/v2/{path:.*}", self.pass_on)
        return application

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """Answer everything of the registry itself."""
        return await self.front.forward(request, {REGISTRY: request.host})

    async def exchange(self, request: web.Request) -> web.Response:
        """POST /oauth2/exchange."""
        form = await request.post()
        try:
            who = self.tokens.check(str(form.get("access_token", "")), AUDIENCES).object_id
        except TokenRejected:
            return _unauthorized()
        if not any(self.roles.allow(who, action, request.host) for action in (PULL, PUSH)):
            return _unauthorized()
        return web.json_response({"refresh_token": self._refresh_token(who, request.host)})

    async def trade(self, request: web.Request) -> web.Response:
        """POST /oauth2/token."""
        form = await request.post()
        try:
            if form.get("grant_type") == "password":
                who = self._user(str(form.get("username", "")), str(form.get("password", "")), request.host)
            else:
                who = self._refreshed(str(form.get("refresh_token", "")), request.host)
        except Denied:
            return _unauthorized()
        return self._access_token(who, request.host, map(str, form.getall("scope", ())))

    async def sign_in(self, request: web.Request) -> web.Response:
        """GET /oauth2/token."""
        authorization, who = request.headers.get("Authorization"), None
        try:
            if authorization is not None:
                basic = aiohttp.BasicAuth.decode(authorization)
                who = self._user(basic.login, basic.password, request.host)
        except (Denied, ValueError):
            return _unauthorized()
        if who is None and request.host != PUBLIC_REGISTRY:
            return _unauthorized()
        return self._access_token(who, request.host, request.query.getall("scope", ()))

    def _user(self, name: str, password: str, host: str) -> str:
        if name == TOKEN_USER:
            return self._refreshed(password, host)
        principal = self.principals.by_client_id(name)
        # As bytes: texts beyond ASCII cannot be compared.
        secret = (principal.secret or "").encode() if principal is not None else b""
        if principal is None or not secret or not hmac.compare_digest(secret, password.encode()):
            raise Denied
        return principal.object_id

    def _refreshed(self, token: str, host: str) -> str:
        try:
            claims = jwt.decode(
                token,
                self._certificate.public_key(),  # type: ignore[arg-type]
                algorithms=[ALGORITHM],
                audience=host,
                issuer=ISSUER,
                options={"require": ["exp", "grant_type"]},
            )
        except jwt.InvalidTokenError:
            raise Denied from None
        if claims["grant_type"] != "refresh_token":
            raise Denied
        return str(claims["sub"])

    def _refresh_token(self, who: str, host: str) -> str:
        return self._sign({"sub": who, "aud": host, "grant_type": "refresh_token"}, REFRESH_SECONDS)

    def _access_token(self, who: str | None, host: str, scopes: Iterable[str]) -> web.Response:
        """Return a token for what of the scopes is allowed, which may be nothing: the distribution then refuses."""
        access = [self._granted(who, host, *scope) for text in scopes for scope in _parsed(text)]
        claims = {"sub": who or "", "aud": REGISTRY, "access": access, "grant_type": "access_token"}
        token = self._sign(claims, ACCESS_SECONDS)
        return web.json_response({"access_token": token, "token": token, "expires_in": ACCESS_SECONDS})

    def _granted(self, who: str | None, host: str, kind: str, name: str, actions: list[str]) -> dict[str, Any]:
        if who is None:
            allowed = {PULL} if kind == "repository" and name.startswith(PUBLIC) else set()
        else:
            allowed = {action for action in (PULL, PUSH) if self.roles.allow(who, action, f"{host}/{name}")}
        if kind == "registry" and PULL in allowed:
            allowed.add("*")
        return {"type": kind, "name": name, "actions": [action for action in actions if action in allowed]}

    def _sign(self, claims: Mapping[str, Any], seconds: int) -> str:
        now = int(time.time())
        certificate = base64.b64encode(self._certificate.public_bytes(serialization.Encoding.DER)).decode()
        times = {"iat": now, "nbf": now - 60, "exp": now + seconds}
        content = {**claims, **times, "iss": ISSUER, "jti": str(uuid.uuid4())}
        return jwt.encode(content, self._key, algorithm=ALGORITHM, headers={"x5c": [certificate]})  # type: ignore[arg-type]


def _parsed(scope: str) -> Iterable[tuple[str, str, list[str]]]:
    """Read `type:name:action,action`, once or several times with blanks between."""
    for text in scope.split():
        kind, _, rest = text.partition(":")
        name, _, actions = rest.rpartition(":")
        yield kind, name, actions.split(",")


def _unauthorized() -> web.Response:
    text = "authentication required, visit https://aka.ms/acr/authorization for more information."
    return web.json_response({"errors": [{"code": "UNAUTHORIZED", "message": text, "detail": None}]}, status=401)
