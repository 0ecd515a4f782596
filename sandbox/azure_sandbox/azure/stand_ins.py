"""All stand-ins put together: one application for the TLS port, the proxy, and the lines of container groups."""

import asyncio
import logging
import ssl
from dataclasses import dataclass

from aiohttp import web

from azure_sandbox.attester import Attester
from azure_sandbox.azure.arm.groups import ContainerGroups
from azure_sandbox.azure.arm.limits import Limits
from azure_sandbox.azure.arm.operations import Operations
from azure_sandbox.azure.arm.provisioning import Provisioner
from azure_sandbox.azure.arm.routes import ResourceManager
from azure_sandbox.azure.attestation import Attestation
from azure_sandbox.azure.control import Control
from azure_sandbox.azure.errors import service_errors
from azure_sandbox.azure.login import Login
from azure_sandbox.azure.middleware import meet
from azure_sandbox.azure.principals import Principals
from azure_sandbox.azure.registry import Registries
from azure_sandbox.azure.roles import Roles
from azure_sandbox.azure.storage import Storage
from azure_sandbox.azure.tokens import SigningKey, Tokens
from azure_sandbox.azure.vault.release import Releaser
from azure_sandbox.azure.vault.routes import Vaults
from azure_sandbox.certificates import CertificateAuthority, server_context
from azure_sandbox.faults import Faults
from azure_sandbox.guest.api import GuestFactory
from azure_sandbox.names import CONTROL, LOGIN, PUBLIC_REGISTRY, REGISTRY, RESOURCE_MANAGER
from azure_sandbox.network.front import Front
from azure_sandbox.network.names import exists
from azure_sandbox.network.proxy import ConnectProxy
from azure_sandbox.network.switchboard import Switchboard
from azure_sandbox.state import SandboxState

MAX_BODY = 4 * 1024 * 1024
"""Largest request that Resource Manager takes."""

SHUTDOWN_SECONDS = 2.0
"""How long requests in progress may go on once the process is told to end."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StandIns:
    """The assembled parts.

    Attributes:
        application: Answers for every host name of the stand-ins.
        groups: The container groups.
        principals: Who can sign in.
        tokens: Signs and checks their tokens.
        attestation: Signs evidence.
        authority: Signs the servers' certificates.
        faults: What goes wrong on purpose.
    """

    application: web.Application
    groups: ContainerGroups
    principals: Principals
    tokens: Tokens
    attestation: Attestation
    authority: CertificateAuthority
    faults: Faults


def assemble(state: SandboxState, factory: GuestFactory) -> StandIns:
    """Put the stand-ins of a sandbox together; nothing listens yet."""
    own = state.home / "azure"
    own.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = CertificateAuthority.open(state.ca)
    attester = Attester(own / "attester")
    principals = Principals(own / "principals.json")
    tokens = Tokens(SigningKey(own / "login.pem"))
    attestation_key = SigningKey(own / "attestation.pem")
    roles = Roles(own / "role-assignments.json", principals)
    vaults = Vaults(own / "vaults", tokens, roles, Releaser(attestation_key, authority))
    attestation = Attestation(attestation_key, attester.chain.root, attester.uvm_signer.issuer)
    faults = Faults()
    groups = ContainerGroups(
        directory=state.groups,
        factory=factory,
        attester=attester,
        switchboard=Switchboard(state.port("stand_ins"), state.run, authority.bundle, faults),
        principals=principals,
        tokens=tokens,
        provisioner=Provisioner(Operations(), faults),
    )
    manager = ResourceManager(groups, Limits(), roles).application(Control(groups, roles, vaults).application())
    application = web.Application(middlewares=[service_errors, meet(faults)], client_max_size=MAX_BODY)
    fronts = (
        Front("registry", state.port("registry")),
        Front("blobs", state.port("azurite"), ssl.create_default_context(cafile=str(authority.bundle))),
    )
    registries = Registries(principals, tokens, roles, authority, fronts[0]).application()
    application.add_domain(LOGIN, Login(principals, tokens).application())
    application.add_domain(RESOURCE_MANAGER, manager)
    application.add_domain(CONTROL, manager)
    application.add_domain("*.attest.azure.net", attestation.application())
    application.add_domain(REGISTRY, registries)
    application.add_domain(PUBLIC_REGISTRY, registries)
    application.add_domain("*.blob.core.windows.net", Storage(tokens, roles, fronts[1]).application())
    application.add_domain("*.vault.azure.net", vaults.application())
    application.add_domain("*.managedhsm.azure.net", vaults.application())
    for front in fronts:
        application.on_cleanup.append(front.close)
    return StandIns(application, groups, principals, tokens, attestation, authority, faults)


async def serve(state: SandboxState, factory: GuestFactory, until: asyncio.Event) -> None:
    """Serve until the event is set: proxy, TLS port, and the groups that an earlier process left."""
    stand_ins = assemble(state, factory)
    ports = state.ports()
    proxy = ConnectProxy(ports, stand_ins.faults)
    runner = web.AppRunner(stand_ins.application, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    context = server_context(stand_ins.authority, exists)
    await proxy.start(ports["proxy"])
    await stand_ins.groups.restore()  # before anybody can ask for a group and be told that there is none
    await web.TCPSite(runner, "127.0.0.1", ports["stand_ins"], ssl_context=context).start()
    log.info("serving on port %d, proxy on port %d", ports["stand_ins"], ports["proxy"])
    try:
        await until.wait()
    finally:
        await runner.cleanup()
        await stand_ins.groups.close()
        await proxy.stop()
