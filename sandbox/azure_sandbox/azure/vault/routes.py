"""`*.vault.azure.net` and `*.managedhsm.azure.net`: the keys API. A vault exists as soon as it is asked for."""

import re
import time
from pathlib import Path
from typing import Any

from aiohttp import web

from azure_sandbox.azure import roles
from azure_sandbox.azure.errors import ServiceError, json_object
from azure_sandbox.azure.roles import Roles
from azure_sandbox.azure.tokens import Caller, TokenRejected, Tokens, bearer
from azure_sandbox.azure.vault.changes import create_key, import_key, update_key
from azure_sandbox.azure.vault.keys import Key, KeyVersion, Vault
from azure_sandbox.azure.vault.release import Releaser
from azure_sandbox.names import LOGIN, TENANT

API_VERSIONS = re.compile(r"7\.[0-6](-preview(\.\d)?)?|2025-\d\d-\d\d(-preview)?|2026-\d\d-\d\d(-preview)?")
KEY_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")


class Vaults:
    """The routes of all vaults.

    Args:
        directory: One file for each vault.
        tokens: Checks who calls.
        access: Who may do what.
        releaser: Decides on releases.
    """

    def __init__(self, directory: Path, tokens: Tokens, access: Roles, releaser: Releaser) -> None:
        self.directory = directory
        self.tokens = tokens
        self.access = access
        self.releaser = releaser
        self._vaults: dict[str, Vault] = {}

    def application(self) -> web.Application:
        """Return the hosts' application."""
        application = web.Application()
        router = application.router
        router.add_get("/keys", self.list_keys)
        router.add_post("/keys/{name}/create", self.create)
        router.add_put("/keys/{name}", self.import_)
        router.add_get("/keys/{name}/versions", self.list_versions)
        for path in ("/keys/{name}", "/keys/{name}/", "/keys/{name}/{version}"):
            router.add_get(path, self.get)
            router.add_patch(path, self.update)
        router.add_delete("/keys/{name}", self.delete)
        for path in ("/keys/{name}/release", "/keys/{name}//release", "/keys/{name}/{version}/release"):
            router.add_post(path, self.release)
        router.add_get("/deletedkeys", self.list_deleted)
        router.add_get("/deletedkeys/{name}", self.get_deleted)
        router.add_delete("/deletedkeys/{name}", self.purge)
        router.add_post("/deletedkeys/{name}/recover", self.recover)
        return application

    def vault(self, host: str) -> Vault:
        """Return the vault of a host name."""
        name = host.lower()
        if name not in self._vaults:
            self._vaults[name] = Vault(name, self.directory / f"{name}.json")
        return self._vaults[name]

    async def list_keys(self, request: web.Request) -> web.Response:
        """GET /keys."""
        vault = self._enter(request, roles.READ)
        living = [vault.item(key, key.versions[-1]) for key in vault.keys.values() if key.deleted is None]
        return _page(living)

    async def list_versions(self, request: web.Request) -> web.Response:
        """GET /keys/{name}/versions."""
        vault = self._enter(request, roles.READ)
        key = vault.living(_name(request))
        return _page([vault.item(key, version, with_version=True) for version in key.versions])

    async def get(self, request: web.Request) -> web.Response:
        """GET /keys/{name}[/{version}]."""
        vault = self._enter(request, roles.READ)
        key = vault.living(_name(request))
        return _bundle(vault, key, key.version(request.match_info.get("version")))

    async def import_(self, request: web.Request) -> web.Response:
        """PUT /keys/{name}."""
        vault = self._enter(request, roles.IMPORT)
        version = import_key(vault, _name(request), await json_object(request))
        return _bundle(vault, vault.living(_name(request)), version)

    async def create(self, request: web.Request) -> web.Response:
        """POST /keys/{name}/create."""
        vault = self._enter(request, roles.CREATE)
        version = create_key(vault, _name(request), await json_object(request))
        return _bundle(vault, vault.living(_name(request)), version)

    async def update(self, request: web.Request) -> web.Response:
        """PATCH /keys/{name}[/{version}]."""
        vault = self._enter(request, roles.UPDATE)
        key = vault.living(_name(request))
        version = update_key(vault, key, request.match_info.get("version"), await json_object(request))
        return _bundle(vault, key, version)

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /keys/{name}: the key can be recovered until it is purged."""
        vault = self._enter(request, roles.DELETE)
        key = vault.living(_name(request))
        key.deleted = int(time.time())
        vault.save()
        return _bundle(vault, key, key.versions[-1])

    async def release(self, request: web.Request) -> web.Response:
        """POST /keys/{name}[/{version}]/release."""
        vault = self._enter(request, roles.RELEASE)
        key = vault.living(_name(request))
        version = key.version(request.match_info.get("version"))
        body = await json_object(request)
        value = self.releaser.release(vault, key, version, body, request.query["api-version"])
        return web.json_response({"value": value})

    async def list_deleted(self, request: web.Request) -> web.Response:
        """GET /deletedkeys."""
        vault = self._enter(request, roles.READ)
        return _page([vault.item(key, key.versions[-1]) for key in vault.keys.values() if key.deleted is not None])

    async def get_deleted(self, request: web.Request) -> web.Response:
        """GET /deletedkeys/{name}."""
        vault = self._enter(request, roles.READ)
        key = vault.deleted(_name(request))
        return _bundle(vault, key, key.versions[-1])

    async def recover(self, request: web.Request) -> web.Response:
        """POST /deletedkeys/{name}/recover."""
        vault = self._enter(request, roles.RECOVER)
        key = vault.deleted(_name(request))
        key.deleted = None
        vault.save()
        return _bundle(vault, key, key.versions[-1])

    async def purge(self, request: web.Request) -> web.Response:
        """DELETE /deletedkeys/{name}."""
        self._enter(request, roles.PURGE).purge(_name(request))
        return web.Response(status=204)

    def _enter(self, request: web.Request, action: str) -> Vault:
        """Check api-version, token and role, and return the vault.

        Raises:
            ServiceError: 400, 401 or 403.
        """
        vault = self.vault(request.host)
        caller = self._caller(request, vault)
        version = request.query.get("api-version", "")
        if not API_VERSIONS.fullmatch(version):
            raise ServiceError(400, "BadParameter", "api-version must be specified, and one that the vault knows.")
        name = request.match_info.get("name")
        if name is not None and not KEY_NAME.fullmatch(name):
            raise ServiceError(400, "BadParameter", "A key name has 1 to 127 letters, digits and hyphens.")
        resource = vault.host if name is None else f"{vault.host}/keys/{name.lower()}"
        if not self.access.allow(caller.object_id, action, resource):
            raise _forbidden(caller, action, vault, name)
        return vault

    def _caller(self, request: web.Request, vault: Vault) -> Caller:
        resource = f"https://{'managedhsm' if vault.managed_hsm else 'vault'}.azure.net"
        challenge = f'Bearer authorization="https://{LOGIN}/{TENANT}", resource="{resource}"'
        token = bearer(request.headers.get("Authorization"))
        try:
            if token is None:
                raise TokenRejected("AKV10000: Request is missing a Bearer or PoP token.")
            return self.tokens.check(token, [resource])
        except TokenRejected as error:
            raise ServiceError(401, "Unauthorized", str(error), headers={"WWW-Authenticate": challenge}) from error


def _forbidden(caller: Caller, action: str, vault: Vault, key: str | None) -> ServiceError:
    return ServiceError(
        403,
        "Forbidden",
        "Caller is not authorized to perform action on resource.\r\n"
        "If role assignments, deny assignments or role definitions were changed recently, "
        "please observe propagation time.\r\n"
        f"Caller: appid={caller.client_id};oid={caller.object_id}\r\n"
        f"Action: 'Microsoft.KeyVault/vaults/keys/{action}/action'\r\n"
        f"Resource: '{f'/keys/{key}' if key else '/keys'}'\r\nAssignment: (not found)\r\n"
        f"Vault: {vault.host.partition('.')[0]}",
        inner="ForbiddenByRbac",
    )


def _name(request: web.Request) -> str:
    return request.match_info["name"]


def _bundle(vault: Vault, key: Key, version: KeyVersion) -> web.Response:
    return web.json_response(vault.bundle(key, version))


def _page(items: list[dict[str, Any]]) -> web.Response:
    return web.json_response({"value": items, "nextLink": None})
