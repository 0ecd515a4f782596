"""`$(NAME)` in commands and variables, as a kubelet replaces it before it starts a container.

Rules: Kubernetes API reference, `EnvVar.value`: names of variables before this one are replaced, unknown ones stay as
they are, `$$` is one dollar sign.
"""

import re
from collections.abc import Iterable

from confidential_summarizer.errors import PolicyError
from confidential_summarizer.policy.document import EnvRule

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


def expand(text: str, known: Iterable[EnvRule], subject: str) -> str:
    """Replace references to variables whose values the policy pins.

    Raises:
        PolicyError: A reference is to a variable whose value is not known; `subject` names the place.
    """
    if "$" not in text:
        return text
    rules = {rule.name: rule for rule in known}

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            return "$"
        rule = rules.get(name)
        if rule is None:
            return match.group(0)
        if rule.strategy != "string":
            raise PolicyError(
                f"{subject} refers to {name}, whose value is not known before the start: give the value itself"
            )
        return rule.pattern.partition("=")[2]

    return _REFERENCE.sub(value, text)
