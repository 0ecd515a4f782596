"""The resource as people write it: models, rules, names. Pure; imports nothing of ours but errors."""

from confidential_summarizer.api.resource import ConfidentialSummarizer, Metadata
from confidential_summarizer.api.spec import Spec
from confidential_summarizer.api.status import Condition, ConditionStatus, ConditionType, Status

__all__ = ["Condition", "ConditionStatus", "ConditionType", "ConfidentialSummarizer", "Metadata", "Spec", "Status"]
