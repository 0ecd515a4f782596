"""What only the sandbox has: `https://management.azure.com/sandbox/…`, for tests and for a person who plays both sides.

| request | effect |
|---|---|
| `GET /sandbox/health` | 200 when everything serves |
| `GET`, `POST`, `DELETE /sandbox/faults` | faults to come: see `azure_sandbox.faults` |
| `GET`, `PUT /sandbox/role-assignments` | `{"assignments": [{"object_id", "role", "scope"}]}`, as in `azure.roles` |
| `GET`, `PUT /sandbox/vaults/{host}` | `{"purgeProtection": true}` |
| `POST /sandbox/groups/{name}/maintenance` | the platform restarts the group's containers |

No token is asked for: whoever reaches this address owns the sandbox.
"""

from aiohttp import web

from azure_sandbox.azure.arm.groups import ContainerGroups
from azure_sandbox.azure.errors import ServiceError, json_object
from azure_sandbox.azure.roles import EVERYWHERE, Assignment, Roles
from azure_sandbox.azure.vault.routes import Vaults


class Control:
    """The routes below /sandbox.

    Args:
        groups: Container groups.
        roles: Role assignments.
        vaults: Vaults.
    """

    def __init__(self, groups: ContainerGroups, roles: Roles, vaults: Vaults) -> None:
        self.groups = groups
        self.roles = roles
        self.vaults = vaults

    def application(self) -> web.Application:
        """Return the application."""
        application = web.Application()
        router = application.router
        router.add_get("/health", self.health)
        router.add_get("/faults", self.faults)
        router.add_post("/faults", self.add_fault)
        router.add_delete("/faults", self.clear_faults)
        router.add_get("/role-assignments", self.role_assignments)
        router.add_put("/role-assignments", self.set_role_assignments)
        router.add_get("/vaults/{host}", self.vault)
        router.add_put("/vaults/{host}", self.set_vault)
        router.add_post("/groups/{name}/maintenance", self.maintain)
        return application

    async def health(self, _: web.Request) -> web.Response:
        """GET /sandbox/health."""
        return web.json_response({"status": "ok"})

    async def faults(self, _: web.Request) -> web.Response:
        """GET /sandbox/faults."""
        return web.json_response(self.groups.provisioner.faults.body())

    async def add_fault(self, request: web.Request) -> web.Response:
        """POST /sandbox/faults."""
        entry = await json_object(request)
        try:
            self.groups.provisioner.faults.add(entry)
        except (TypeError, ValueError) as error:
            raise ServiceError(400, "BadParameter", str(error)) from error
        return web.json_response(self.groups.provisioner.faults.body(), status=201)

    async def clear_faults(self, _: web.Request) -> web.Response:
        """DELETE /sandbox/faults."""
        self.groups.provisioner.faults.clear()
        return web.Response(status=204)

    async def role_assignments(self, _: web.Request) -> web.Response:
        """GET /sandbox/role-assignments."""
        return web.json_response({"assignments": self.roles.entries()})

    async def set_role_assignments(self, request: web.Request) -> web.Response:
        """PUT /sandbox/role-assignments."""
        body = await json_object(request)
        try:
            assignments = {
                Assignment(entry["object_id"], entry["role"], entry.get("scope", EVERYWHERE))
                for entry in body["assignments"]
            }
        except (KeyError, TypeError, AttributeError) as error:
            text = 'The body has to be {"assignments": [{"object_id", "role", "scope"}]}.'
            raise ServiceError(400, "BadParameter", text) from error
        self.roles.replace(assignments)
        return web.json_response({"assignments": self.roles.entries()})

    async def vault(self, request: web.Request) -> web.Response:
        """GET /sandbox/vaults/{host}."""
        vault = self.vaults.vault(request.match_info["host"])
        return web.json_response({"purgeProtection": vault.purge_protection})

    async def set_vault(self, request: web.Request) -> web.Response:
        """PUT /sandbox/vaults/{host}."""
        vault = self.vaults.vault(request.match_info["host"])
        vault.purge_protection = bool((await json_object(request)).get("purgeProtection"))
        vault.save()
        return web.json_response({"purgeProtection": vault.purge_protection})

    async def maintain(self, request: web.Request) -> web.Response:
        """POST /sandbox/groups/{name}/maintenance."""
        operation = self.groups.restart(request.match_info["name"])
        return web.json_response(operation.body(), status=202)
