"""How the data owner agrees to a policy: what they are shown, and what it takes to go on."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click

from confidential_summarizer.blueprint import SUMMARIZER
from confidential_summarizer.cli.approvals import Approvals
from confidential_summarizer.cli.console import confirm, note, warn
from confidential_summarizer.cli.key.approval import WantedApproval
from confidential_summarizer.cli.key.review import dangers, description, review
from confidential_summarizer.errors import IntegrityError
from confidential_summarizer.policy.description import openings
from confidential_summarizer.policy.parsing import parse_policy
from confidential_summarizer.release import checked_host_data


@dataclass(frozen=True)
class Agreement:
    """What the data owner said on the command line.

    Attributes:
        yes: They agree without being asked; only to a named hash.
        expect_host_data: The only hash that is acceptable.
        full: Show all that the policy says, too.
        expect_image: The only digests that are acceptable, by container.
        allow_debug: Go on with a policy that lets the host look into the group.
    """

    yes: bool
    expect_host_data: str | None
    expect_image: Mapping[str, str]
    full: bool
    allow_debug: bool


def agreement_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of an agreement; the command gets them as `agreement`."""

    @click.option("--expect-host-data", help="Refuse any other hash than this.")
    @click.option("--yes", is_flag=True, help="Do not ask; needs --expect-host-data.")
    @click.option(
        "--expect-image", multiple=True, metavar="[CONTAINER=]DIGEST", help="Refuse another image of the container."
    )
    @click.option("--full", is_flag=True, help="Show all that the policy says.")
    @click.option("--allow-debug", is_flag=True, help="Accept a policy that lets the host look in; for test data.")
    @wraps(command)
    def with_agreement(
        *,
        yes: bool,
        expect_host_data: str | None,
        expect_image: Sequence[str],
        full: bool,
        allow_debug: bool,
        **options: Any,
    ) -> Any:
        images = dict(map(_image, expect_image))
        return command(agreement=Agreement(yes, expect_host_data, images, full, allow_debug), **options)

    return with_agreement


def _image(text: str) -> tuple[str, str]:
    container, _, digest = text.rpartition("=")
    if re.fullmatch(r"sha256:[0-9a-f]{64}", digest) is None:
        raise click.UsageError("--expect-image takes the digest of the summarizer's image, or CONTAINER=DIGEST.")
    return container or SUMMARIZER, digest


def agree(wanted: WantedApproval, agreement: Agreement) -> None:
    """Show what would be approved, and go on only if the data owner agrees.

    Raises:
        IntegrityError: The policy lets the host look in, and that was not asked for.
        click.ClickException: The hash is not the expected one, or the data owner does not agree.
    """
    expected = agreement.expect_host_data
    if agreement.yes and expected is None:
        raise click.UsageError("--yes needs --expect-host-data: nobody has looked at the policy otherwise.")
    _show(wanted, full=agreement.full)
    if expected is not None and checked_host_data(expected) != wanted.host_data:
        raise click.ClickException(
            f"the policy's host-data is not the expected {expected}: nothing was approved. "
            "An image, a setting or the resource differs."
        )
    for container, digest in agreement.expect_image.items():
        measured = wanted.derivation.images.get(container)
        found = "there is no such container" if measured is None else measured.image.digest
        if found != digest:
            raise click.ClickException(
                f"the image of {container} is not the expected {digest}, but {found}: nothing was approved."
            )
    if openings(parse_policy(wanted.derivation.policy.text)) and not agreement.allow_debug:
        raise IntegrityError(
            f"{wanted.resource.key}: this policy lets whoever runs the group look into it, and the vault cannot tell. "
            "Nothing was approved. For test data: --allow-debug"
        )
    Approvals().check_writable()
    if not agreement.yes:
        confirm(
            f"Let key {wanted.key} of {wanted.vault} out to such groups?",
            refused="Not approved; nothing was changed.",
            unattended="--yes --expect-host-data HASH",
        )


def _show(wanted: WantedApproval, *, full: bool) -> None:
    known = Approvals().of(wanted.resource.key)
    note(
        f"{wanted.resource.key} asks {wanted.vault} for key {wanted.key}; {wanted.attestation} vouches for its groups."
    )
    for line in review(wanted.derivation, known[-1] if known else None):
        note(line)
    if full:
        note("ALL THAT THE POLICY SAYS")
        for line in description(wanted.derivation):
            note(f"  {line}")
    for danger in dangers(wanted.derivation):
        warn(danger)
    if not full:
        note("All that the policy says: --full")
    note(f"host-data {wanted.host_data}")
