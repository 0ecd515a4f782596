"""The fixed names of the sandbox's small Azure: one subscription, one of everything.

Every name is a real Azure host name or identifier; what makes them local is the proxy alone.
"""

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
TENANT = "11111111-1111-1111-1111-111111111111"
RESOURCE_GROUP = "sandbox"
LOCATION = "westeurope"

REGISTRY = "party1.azurecr.io"
PUBLIC_REGISTRY = "mcr.microsoft.com"
BLOB_ACCOUNT = "party2"
BLOB_HOST = f"{BLOB_ACCOUNT}.blob.core.windows.net"
SEALED = "sealed"
RESULTS = "results"
"""The account's containers that the group's identity has a role on: to read sealed images, to write results."""
VAULT = "party2.managedhsm.azure.net"
MODELS_KEY = "models-key"
"""The one key in the vault that the operator manages; the data owner keeps the others to themselves."""
ATTESTATION = "sharedeus2.eus2.attest.azure.net"
RESOURCE_MANAGER = "management.azure.com"
CONTROL = f"sandbox.{RESOURCE_MANAGER}"
"""Where the sandbox's own controls answer whatever else fails on purpose."""
LOGIN = "login.microsoftonline.com"

VIRTUAL_NODE = "virtualnode-0"
"""The node's name is what its StatefulSet would give the first replica (virtual nodes on ACI, helm chart)."""

CLIENT_ID = "22222222-2222-2222-2222-222222222222"
"""The application that the sandbox's own parts sign in as; the stand-in for Azure AD accepts any secret."""

CLIENT_SECRET = "sandbox"  # noqa: S105  (accepted by the stand-in only)
