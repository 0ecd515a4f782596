"""How policies look as tables."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from confidential_summarizer.cli.console import cell
from confidential_summarizer.policy.comparison import Difference
from confidential_summarizer.policy.description import capability_words, is_wildcard
from confidential_summarizer.policy.document import ContainerRules, EnvRule, Policy, PolicyDocument
from confidential_summarizer.policy.environment import PLATFORM
from confidential_summarizer.policy.lint import Finding


def policy_table(name: str, policy: Policy, document: PolicyDocument) -> Table:
    """A policy: one column for each container."""
    table = Table(title=cell(f"{name}: host-data {policy.host_data}"), title_justify="left", show_lines=True)
    table.add_column("", style="bold")
    for container in document.containers:
        table.add_column(cell(container.name or container.id or "container"), overflow="fold")
    for title, value in (
        ("image", lambda c: c.id or "-"),
        ("layers", lambda c: "\n".join(layer[:16] + "…" for layer in c.layers)),
        ("command", lambda c: "can never start" if c.command is None else " ".join(c.command)),
        ("directory", lambda c: c.working_dir),
        ("user", _user),
        ("variables", _environment),
        ("mounts", lambda c: "\n".join(f"{m.destination} {'ro' if 'ro' in m.options else 'rw'}" for m in c.mounts)),
        ("exec", lambda c: "\n".join(" ".join(process.command) for process in c.exec_processes) or "-"),
        ("privileged", lambda c: "YES" if c.allow_elevated else "no"),
        ("capabilities", lambda c: capability_words(c.capabilities)),
        ("output readable", lambda c: "yes" if c.allow_stdio_access else "no"),
    ):
        table.add_row(title, *(cell(value(container)) for container in document.containers))
    return table


def _user(container: ContainerRules) -> str:
    rule = container.user.user
    return "any" if rule.strategy == "any" else f"{rule.pattern} ({rule.strategy})"


def _environment(container: ContainerRules) -> str:
    own = [rule for rule in container.env_rules if rule not in PLATFORM]
    platform = len(container.env_rules) - len(own)
    return "\n".join([*map(_variable, own), *([f"and {platform} of the platform"] if platform else [])])


def _variable(rule: EnvRule) -> str:
    return f"{rule.pattern} (any that matches)" if is_wildcard(rule) else rule.pattern


def differences_table(found: Sequence[Difference]) -> Table:
    """What changes between two policies."""
    table = Table("where", "what", "before", "after")
    for item in found:
        table.add_row(*map(cell, (item.subject, item.field, _shown(item.before), _shown(item.after))))
    return table


def findings_table(found: Sequence[Finding]) -> Table:
    """What a check found."""
    table = Table("rule", "severity", "where", "what", "what to do", show_lines=True)
    for finding in found:
        table.add_row(*map(cell, (finding.rule, finding.severity, finding.subject, finding.message, finding.remedy)))
    return table


def layers_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Layers with their hashes."""
    table = Table("image", "layer", "diff_id", "root hash", "bytes", "compression", "entries without a directory")
    for row in rows:
        table.add_row(
            cell(row["image"]),
            str(row["number"]),
            row["diff_id"],
            row["root_hash"],
            str(row["size"]),
            row["compression"],
            str(row["missing_parents"] or "-"),
        )
    return table


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(value)
