"""Key release policies: which attested guests a vault lets a key out to.

Pure values and functions; the vault itself is reached through `confidential_summarizer.azure.keys`.
"""

from confidential_summarizer.release.approval import (
    DEFAULT_CONDITIONS,
    PolicyChange,
    add_host_data,
    build,
    compare,
    remove_host_data,
)
from confidential_summarizer.release.claims import (
    COMPLIANCE_STATUS,
    COMPLIANT_UVM,
    HOST_DATA,
    IS_DEBUGGABLE,
    MIGRATION_ALLOWED,
    REPORT_DATA,
    VMPL,
    checked_host_data,
    claim_text,
    claim_value,
)
from confidential_summarizer.release.derivation import DEFAULT_LABEL, KeyDerivation, derive_key
from confidential_summarizer.release.evaluation import Admission, Evaluation, Failure, admits, evaluate, weaknesses
from confidential_summarizer.release.floors import Floor, floors
from confidential_summarizer.release.grammar import AuthorityRule, Condition, ReleasePolicy

__all__ = [
    "COMPLIANCE_STATUS",
    "COMPLIANT_UVM",
    "DEFAULT_CONDITIONS",
    "DEFAULT_LABEL",
    "HOST_DATA",
    "IS_DEBUGGABLE",
    "MIGRATION_ALLOWED",
    "REPORT_DATA",
    "VMPL",
    "Admission",
    "AuthorityRule",
    "Condition",
    "Evaluation",
    "Failure",
    "Floor",
    "KeyDerivation",
    "PolicyChange",
    "ReleasePolicy",
    "add_host_data",
    "admits",
    "build",
    "checked_host_data",
    "claim_text",
    "claim_value",
    "compare",
    "derive_key",
    "evaluate",
    "floors",
    "remove_host_data",
    "weaknesses",
]
