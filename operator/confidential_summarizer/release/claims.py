"""Names of the attestation claims that decide about a key, and how a claim's value reads as text.

Source of the names: the tokens that Microsoft Azure Attestation issues for SEV-SNP container groups.
"""

import json
import re
from collections.abc import Mapping

from confidential_summarizer.errors import ReleasePolicyError

HOST_DATA = "x-ms-sevsnpvm-hostdata"
"""SHA-256 of the decoded confidential-computing policy, 64 lower-case hex digits."""

COMPLIANCE_STATUS = "x-ms-compliance-status"
"""Says that the utility VM's launch measurement is endorsed by Microsoft."""

COMPLIANT_UVM = "azure-compliant-uvm"
"""The value of `COMPLIANCE_STATUS` for a genuine utility VM of Azure Container Instances."""

IS_DEBUGGABLE = "x-ms-sevsnpvm-is-debuggable"
"""A JSON boolean in the token: whether the host may read the guest's memory (SNP policy bit 19)."""

VMPL = "x-ms-sevsnpvm-vmpl"
"""A JSON integer in the token: the privilege level that asked for the report; 0 is the guest itself."""

MIGRATION_ALLOWED = "x-ms-sevsnpvm-migration-allowed"
"""A JSON boolean in the token: whether a migration agent may move the guest elsewhere (SNP policy bit 18)."""

REPORT_DATA = "x-ms-sevsnpvm-reportdata"
"""128 hex digits: SHA-256 of the runtime data, then 32 zero bytes."""

_HOST_DATA_FORM = re.compile(r"[0-9a-f]{64}")


def checked_host_data(text: str) -> str:
    """Return a host-data value in its one form: 64 lower-case hex digits.

    Raises:
        ReleasePolicyError: The text is no SHA-256 in hex.
    """
    value = text.strip().lower()
    if not _HOST_DATA_FORM.fullmatch(value):
        raise ReleasePolicyError(
            f"Host-data {text!r} is not 64 hex digits. Give the SHA-256 of the decoded policy, "
            "as `csum policy` prints it."
        )
    return value


def claim_value(claims: Mapping[str, object], name: str) -> object | None:
    """Look a claim up by its name, or by a path with dots through nested objects; None where it is absent."""
    if name in claims:
        return claims[name]
    value: object = claims
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def claim_text(value: object) -> str:
    """Turn a claim's JSON value into the text that policies compare with: `true`, `0`, `azure-compliant-uvm`."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
