"""All container groups: creation, change, deletion, and what happens to them when the process starts anew."""

import asyncio
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from azure_sandbox.azure.arm.addresses import free_address
from azure_sandbox.azure.arm.group import ENDED, ContainerGroup, load, resource_file
from azure_sandbox.azure.arm.operations import Operation
from azure_sandbox.azure.arm.paths import group_id, group_not_found
from azure_sandbox.azure.arm.provisioning import Provisioner, Step, given_up
from azure_sandbox.azure.arm.pulling import pull_credentials
from azure_sandbox.azure.arm.updates import check_update, same
from azure_sandbox.azure.arm.validation import validate
from azure_sandbox.azure.errors import ServiceError
from azure_sandbox.azure.metadata import metadata_application
from azure_sandbox.azure.principals import Principal, Principals
from azure_sandbox.azure.tokens import Tokens
from azure_sandbox.faults import REFUSALS
from azure_sandbox.guest.api import GroupNetwork, Guest, GuestFactory, ImageInaccessible, ReportSource
from azure_sandbox.network.switchboard import Switchboard

Json = Mapping[str, Any]

log = logging.getLogger(__name__)


class ContainerGroups:
    """The container groups of the sandbox.

    Args:
        directory: One folder for each group.
        factory: Makes guests.
        attester: The secure processor that guests get.
        switchboard: Their way out.
        principals: The identities that groups can have.
        tokens: Signs tokens for those identities.
        provisioner: Does things in the background.
    """

    def __init__(
        self,
        directory: Path,
        factory: GuestFactory,
        attester: ReportSource,
        switchboard: Switchboard,
        principals: Principals,
        tokens: Tokens,
        provisioner: Provisioner,
    ) -> None:
        self.directory = directory
        self.factory = factory
        self.attester = attester
        self.switchboard = switchboard
        self.principals = principals
        self.tokens = tokens
        self.provisioner = provisioner
        self._groups: dict[str, ContainerGroup] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def __iter__(self) -> Iterator[ContainerGroup]:
        return iter(self._groups.values())

    def get(self, name: str) -> ContainerGroup:
        """Return a group.

        Raises:
            ServiceError: 404 ResourceNotFound.
        """
        group = self.find(name)
        if group is None:
            raise group_not_found(name)
        return group

    def find(self, name: str) -> ContainerGroup | None:
        """Return a group, or None."""
        return self._groups.get(name.lower())

    async def put(self, name: str, body: Json) -> tuple[ContainerGroup, bool, Operation]:
        """Create a group, change it, or, when nothing differs, restart it.

        Returns:
            The group, whether it is new, and the operation that goes on.

        Raises:
            ServiceError: The request is refused, and nothing was done.
        """
        validate(name, body)
        self._check_identities(body)
        self._meet_fault(name, body)
        async with self._locks.setdefault(name.lower(), asyncio.Lock()):
            group = self.find(name)
            if group is None:
                group = await self._create(name, body)
                return group, True, self.provisioner.begin(group, "Creating", group.guest.start, method="PUT")
            _check_settled(group)
            check_update(name, group.body, body)
            _check_not_ended(group)
            if same(group.body, body):
                group.body = body
                return group, False, self.provisioner.begin(group, "Updating", _run_anew(group), method="PUT")
            return group, False, await self._change(group, body)

    def patch(self, name: str, body: Json) -> ContainerGroup:
        """Change tags; everything else in the body is left out of account, as by the service.

        Raises:
            ServiceError: 404 ResourceNotFound.
        """
        group = self.get(name)
        if isinstance(body.get("tags"), Mapping):
            group.body = {**group.body, "tags": dict(body["tags"])}
            group.save()
        return group

    def delete(self, name: str) -> Operation | None:
        """Begin to delete a group; None when there is none."""
        group = self.find(name)
        if group is None:
            return None
        operation = self.provisioner.operations.begin(group.id, group.location)
        before, was_deleting = group.task, group.provisioning_state == "Deleting"
        group.provisioning_state = operation.status = "Deleting"
        group.save()
        group.task = asyncio.create_task(self._delete(group, operation, before, join=was_deleting))
        return operation

    async def stop(self, name: str) -> None:
        """Stop a group's containers and keep the group."""
        group = self.get(name)
        _check_settled(group)
        await group.guest.stop()
        group.past = None
        group.save()

    def start(self, name: str) -> Operation:
        """Begin to start a group that was stopped or has ended."""
        group = self.get(name)
        _check_settled(group)
        return self.provisioner.begin(group, "Creating", _run_anew(group), method="POST")

    def restart(self, name: str) -> Operation:
        """Begin to restart a group's containers."""
        group = self.get(name)
        _check_settled(group)
        return self.provisioner.begin(group, "Updating", _run_anew(group), method="POST")

    async def restore(self) -> None:
        """Bring back the groups of an earlier process: those that ran are started again, as after maintenance."""
        for file in sorted(self.directory.glob(f"*/{resource_file(Path()).name}")):
            saved = load(file.parent)
            group = await self._open(saved.name, saved.body, saved.address)
            group.provisioning_state = saved.provisioning_state
            if saved.provisioning_state == "Deleting":
                self.delete(saved.name)
            elif saved.view.state in ENDED or saved.provisioning_state == "Failed":
                group.past = saved.view
            else:
                self.provisioner.begin(group, "Repairing", group.guest.start)

    async def close(self) -> None:
        """Stop all guests and keep their groups for the next process."""
        for group in self._groups.values():
            if group.provisioning_state != "Deleting":
                group.save()  # before its containers are stopped: what ran will run again
            await given_up(group.task)
            await group.guest.stop()
        await self.switchboard.close_all()

    def identities(self, name: str) -> Sequence[Principal]:
        """Return the identities that a group has at this moment."""
        group = self.find(name)
        held = ((group.body.get("identity") or {}).get("userAssignedIdentities") or {}) if group else {}
        return [principal for one in held if (principal := self.principals.by_resource_id(one))]

    async def _create(self, name: str, body: Json) -> ContainerGroup:
        group = await self._open(name, body, free_address(name, {one.address for one in self}))
        try:
            await _check_images(group.guest)
        except BaseException:
            await self._forget(group)
            raise
        return group

    async def _open(self, name: str, body: Json, address: str) -> ContainerGroup:
        metadata = metadata_application(lambda: self.identities(name), self.tokens, self.attester.host_amd_cert_base64)
        network = await self.switchboard.open(name, address, metadata)
        directory = self.directory / name
        group = ContainerGroup(name, body, network, directory, self._guest(name, body, directory, network))
        self._groups[name.lower()] = group
        return group

    def _guest(self, name: str, body: Json, directory: Path, network: GroupNetwork) -> Guest:
        network = replace(network, registries=pull_credentials(body, self.principals, self.tokens))
        return self.factory(_resource(name, body), directory / "guest", network, self.attester)

    async def _change(self, group: ContainerGroup, body: Json) -> Operation:
        old = group.guest
        new = self._guest(group.name, body, group.directory, group.network)
        await _check_images(new)

        async def replace() -> None:
            await old.stop()
            await new.start()

        group.guest, group.body = new, body
        return self.provisioner.begin(group, "Updating", replace, method="PUT")

    async def _delete(
        self, group: ContainerGroup, operation: Operation, before: asyncio.Task[None] | None, *, join: bool
    ) -> None:
        if join and before is not None:
            await before  # an earlier request is deleting it already
        else:
            await given_up(before)
            try:
                await group.guest.stop()
            except Exception:
                log.exception("the guest of %s could not be stopped", group.name)
            await self._forget(group)
        operation.status = "Succeeded"

    async def _forget(self, group: ContainerGroup) -> None:
        await self.switchboard.close(group.name)
        group.forgotten = True
        await asyncio.to_thread(shutil.rmtree, group.directory, ignore_errors=True)
        self._groups.pop(group.name.lower(), None)

    def _meet_fault(self, name: str, body: Json) -> None:
        if fault := self.provisioner.faults.take("resource-manager", REFUSALS, "PUT", group_id(name)):
            status, code, text = REFUSALS[fault.kind]
            image = body["properties"]["containers"][0]["properties"]["image"]
            raise ServiceError(status, code, text.format(image=image, group=name))

    def _check_identities(self, body: Json) -> None:
        for resource in (body.get("identity") or {}).get("userAssignedIdentities") or {}:
            if self.principals.by_resource_id(resource) is None:
                text = f"Failed to perform resource identity operation: the identity '{resource}' was not found."
                raise ServiceError(400, "FailedIdentityOperation", text)


def _resource(name: str, body: Json) -> Json:
    return {**body, "id": group_id(name), "name": name}


def _run_anew(group: ContainerGroup) -> Step:
    """Return how the containers come to run afresh: from nothing, or in the machine that runs."""
    stands = group.past is not None or group.provisioning_state == "Failed" or group.view().state in ENDED
    return group.guest.start if stands else group.guest.restart


async def _check_images(guest: Guest) -> None:
    try:
        await guest.check_images()
    except ImageInaccessible as error:
        raise ServiceError(400, "InaccessibleImage", str(error)) from error


def _check_settled(group: ContainerGroup) -> None:
    if group.transitioning:
        text = f"The container group '{group.name}' is still transitioning, please retry later."
        raise ServiceError(409, "ContainerGroupTransitioning", text)


def _check_not_ended(group: ContainerGroup) -> None:
    if group.provisioning_state != "Failed" and group.view().state in ("Succeeded", "Failed"):
        text = f"The container group '{group.name}' has ended and cannot be updated: delete it and create a new one."
        raise ServiceError(400, "InvalidContainerGroupUpdate", text)
