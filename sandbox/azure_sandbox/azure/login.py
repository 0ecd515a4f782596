"""`login.microsoftonline.com`: tokens for applications, and the documents that MSAL and azure-identity look for.

Client credentials come as a secret or as a client assertion. An assertion has to be a JSON web token for
`api://AzureADTokenExchange` that is still valid; its signature is not checked, because the sandbox has no way to the
issuer's keys. Where the application lists federated credentials, issuer and subject have to be one of them.
"""

import hmac
import uuid
from collections.abc import Mapping

import jwt
from aiohttp import web

from azure_sandbox.azure.principals import FederatedCredential, Principal, Principals
from azure_sandbox.azure.tokens import ISSUER, LIFETIME, Tokens
from azure_sandbox.names import LOGIN, TENANT

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
EXCHANGE_AUDIENCE = "api://AzureADTokenExchange"

TENANTS = (TENANT, "common", "organizations")
"""Ours by its id, and the two aliases that discovery is asked for."""


class _Refused(Exception):
    """An OAuth error answer with one of the service's AADSTS numbers."""

    def __init__(self, status: int, error: str, number: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.error = error
        self.number = number


class Login:
    """The routes of the host.

    Args:
        principals: Who can sign in.
        tokens: Signs.
    """

    def __init__(self, principals: Principals, tokens: Tokens) -> None:
        self.principals = principals
        self.tokens = tokens

    def application(self) -> web.Application:
        """Return the host's application."""
        application = web.Application()
        router = application.router
        router.add_post("/{tenant}/oauth2/v2.0/token", self.token)
        router.add_post("/{tenant}/oauth2/token", self.token)
        router.add_get("/{tenant}/v2.0/.well-known/openid-configuration", self.configuration)
        router.add_get("/{tenant}/.well-known/openid-configuration", self.configuration)
        router.add_get("/{tenant}/discovery/v2.0/keys", self.keys)
        router.add_get("/{tenant}/discovery/keys", self.keys)
        router.add_get("/common/discovery/instance", self.instance)
        return application

    async def token(self, request: web.Request) -> web.Response:
        """Answer the client-credentials grant, in the v2.0 (scope) or v1 (resource) form."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            _check_tenant(request.match_info["tenant"])
            principal = self._authenticate(form)
            audience = _audience(form)
        except _Refused as refused:
            refusal = {
                "error": refused.error,
                "error_description": f"AADSTS{refused.number}: {refused}",
                "error_codes": [refused.number],
                "trace_id": str(uuid.uuid4()),
                "correlation_id": request.headers.get("client-request-id", str(uuid.uuid4())),
            }
            return web.json_response(refusal, status=refused.status)
        token = self.tokens.issue(principal, audience)
        body: dict[str, object] = {
            "token_type": "Bearer",
            "expires_in": LIFETIME,
            "ext_expires_in": LIFETIME,
            "access_token": token.value,
        }
        if "resource" in form:  # version 1 has numbers as text, and repeats the resource
            body |= {"expires_in": str(LIFETIME), "expires_on": str(token.expires_on), "resource": audience}
        return web.json_response(body, headers={"Cache-Control": "no-store"})

    async def configuration(self, request: web.Request) -> web.Response:
        """Answer OIDC discovery."""
        base = f"https://{LOGIN}/{request.match_info['tenant']}"
        return web.json_response(
            {
                "issuer": ISSUER,
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "response_types_supported": ["code", "id_token"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "tenant_region_scope": "EU",
            }
        )

    async def keys(self, _: web.Request) -> web.Response:
        """Answer with the keys that tokens are signed with."""
        return web.json_response({"keys": [self.tokens.key.jwk()]})

    async def instance(self, _: web.Request) -> web.Response:
        """Answer MSAL's instance discovery: this host is the only alias of its cloud."""
        metadata = {"preferred_network": LOGIN, "preferred_cache": "login.windows.net", "aliases": [LOGIN]}
        endpoint = f"https://{LOGIN}/{TENANT}/v2.0/.well-known/openid-configuration"
        return web.json_response(
            {"tenant_discovery_endpoint": endpoint, "api-version": "1.1", "metadata": [metadata]},
        )

    def _authenticate(self, form: Mapping[str, str]) -> Principal:
        if form.get("grant_type") != "client_credentials":
            raise _Refused(400, "unsupported_grant_type", 70003, "The sandbox signs in applications only.")
        client_id = form.get("client_id", "")
        principal = self.principals.by_client_id(client_id)
        if principal is None:
            text = f"Application with identifier '{client_id}' was not found in the directory '{TENANT}'."
            raise _Refused(400, "unauthorized_client", 700016, text)
        if "client_assertion" in form:
            _check_assertion(principal, form)
        elif not principal.secret or not hmac.compare_digest(form.get("client_secret", ""), principal.secret):
            raise _Refused(401, "invalid_client", 7000215, "Invalid client secret provided.")
        return principal


def _check_tenant(tenant: str) -> None:
    if tenant.lower() not in TENANTS:
        raise _Refused(400, "invalid_request", 90002, f"Tenant '{tenant}' not found.")


def _check_assertion(principal: Principal, form: Mapping[str, str]) -> None:
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise _Refused(400, "invalid_request", 900144, f"client_assertion_type has to be {ASSERTION_TYPE}.")
    try:
        claims = jwt.decode(
            form["client_assertion"],
            options={
                "verify_signature": False,
                "verify_exp": True,
                "verify_aud": True,
                "require": ["iss", "sub", "exp"],
            },
            audience=EXCHANGE_AUDIENCE,
        )
    except jwt.InvalidAudienceError as error:
        text = f"No matching federated identity record found for presented assertion audience; {EXCHANGE_AUDIENCE} is."
        raise _Refused(401, "invalid_client", 700212, text) from error
    except jwt.ExpiredSignatureError as error:
        raise _Refused(401, "invalid_client", 700024, "Client assertion is not within its valid time range.") from error
    except jwt.InvalidTokenError as error:
        raise _Refused(401, "invalid_client", 50027, "JWT token is invalid or malformed.") from error
    presented = FederatedCredential(claims["iss"], claims["sub"])
    if principal.federated and presented not in principal.federated:
        text = f"No matching federated identity record found for presented assertion subject '{presented.subject}'."
        raise _Refused(401, "invalid_client", 700213, text)


def _audience(form: Mapping[str, str]) -> str:
    if resource := form.get("resource"):
        return resource
    resources = {
        scope.removesuffix("/.default") for scope in form.get("scope", "").split() if scope.endswith("/.default")
    }
    if len(resources) != 1:
        raise _Refused(400, "invalid_scope", 1002012, "The scope has to be one resource followed by /.default.")
    return resources.pop()
