"""The names that people and other programs see. Changing one breaks them; there is no second place to change."""

GROUP = "confidential.summarizer.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "ConfidentialSummarizer"
PLURAL = "confidentialsummarizers"
SINGULAR = "confidentialsummarizer"
SHORT_NAME = "csum"

GRANT_KIND = "SummarizerGrant"
GRANT_PLURAL = "summarizergrants"
GRANT_SINGULAR = "summarizergrant"
GRANT_SHORT_NAME = "csumgrant"

FINALIZER = f"{GROUP}/finalizer"
"""Held while anything outside the resource exists that deletion has to remove."""

FIELD_MANAGER = "confidential-summarizer"
"""Server-side apply: the owner of what the operator sets on its children."""

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "confidential-summarizer"
INSTANCE_LABEL = "app.kubernetes.io/instance"
NAME_LABEL = "app.kubernetes.io/name"

HOST_DATA_ANNOTATION = f"{GROUP}/host-data"
"""On children: the SHA-256 of the policy that they were deployed with."""

APPLIED_ANNOTATION = f"{GROUP}/applied"
"""On children: SHA-256 of what the operator last sent; tells its own changes from somebody else's."""

FIXED_ANNOTATION = f"{GROUP}/fixed"
"""On a Job: SHA-256 of what of it can never change; another Job has to take its place."""

POLICY_CONFIG_MAP_SUFFIX = "-policy"
"""ConfigMap `<name>-policy` holds the policy text, for people and for `csum policy`; nothing reads it back."""

USE_LABEL = f"{GROUP}/use"
"""On Secrets: what the operator may read them for. Who may not write a Secret cannot let the operator read it."""

ADOPT_KEY_ANNOTATION = f"{GROUP}/adopt-key"
"""On the resource: `<vault>/<name>` of a key that it did not import and wants to manage from now on."""

PAUSE_ANNOTATION = f"{GROUP}/pause"
"""On the resource: `true` lets the operator look and say, but change nothing."""

RECONCILE_ANNOTATION = f"{GROUP}/reconcile"
"""On the resource: any new value, best the time, asks for a reconcile now; status.lastHandledReconcileAt answers."""

RESOLVE_ANNOTATION = f"{GROUP}/resolve"
"""On the resource: any new value asks to resolve the images' tags anew; status.lastHandledResolveAt answers."""

ABANDON_ANNOTATION = f"{GROUP}/abandon"
"""On a resource that is being deleted: `true` lets it go at once, whatever is left behind in Azure."""
