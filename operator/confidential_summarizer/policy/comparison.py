"""Two policies compared by what they allow; order and layout of the text do not count."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from confidential_summarizer.policy.description import set_words
from confidential_summarizer.policy.document import Capabilities, ContainerRules, PolicyDocument


@dataclass(frozen=True)
class Difference:
    """One thing that two policies say differently; None stands for what one of them does not have."""

    subject: str
    field: str
    before: Any
    after: Any


def compare(before: PolicyDocument, after: PolicyDocument) -> tuple[Difference, ...]:
    """What changes from one policy to the other; nothing if both allow the same."""
    found: list[Difference] = []
    for field in ("api_version", "framework_version", "package"):
        found += _changed("policy", field, getattr(before, field), getattr(after, field))
    for flag, value in asdict(before.flags).items():
        found += _changed("policy", flag, value, getattr(after.flags, flag))
    found += _sets("policy", "rule", before.rules, after.rules)
    found += _sets("policy", "fragment", _fragments(before), _fragments(after))
    found += _containers(before.containers, after.containers)
    return tuple(found)


def _containers(before: Sequence[ContainerRules], after: Sequence[ContainerRules]) -> Iterable[Difference]:
    old, new = _by_name(before), _by_name(after)
    for name in dict.fromkeys((*old, *new)):
        if name not in new:
            yield Difference(name, "container", old[name].id or "", None)
        elif name not in old:
            yield Difference(name, "container", None, new[name].id or "")
        else:
            yield from _container(name, old[name], new[name])


def _by_name(containers: Sequence[ContainerRules]) -> dict[str, ContainerRules]:
    """Containers by name; a repeated name gets a number."""
    named: dict[str, ContainerRules] = {}
    for container in containers:
        base = container.name or container.id or "container"
        name, count = base, 2
        while name in named:
            name, count = f"{base}#{count}", count + 1
        named[name] = container
    return named


def _container(name: str, before: ContainerRules, after: ContainerRules) -> Iterable[Difference]:
    for field in fields(ContainerRules):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if field.name == "env_rules":
            yield from _sets(name, "env rule", map(_env, old), map(_env, new))
        elif field.name == "mounts":
            yield from _sets(name, "mount", map(_mount, old), map(_mount, new))
        elif field.name == "exec_processes":
            yield from _sets(name, "exec process", map(_exec, old), map(_exec, new))
        elif field.name == "signals":
            yield from _sets(name, "signal", old, new)
        elif field.name == "capabilities":
            yield from _capabilities(name, old, new)
        else:
            yield from _changed(name, field.name, old, new)


def _capabilities(name: str, before: Capabilities | None, after: Capabilities | None) -> Iterable[Difference]:
    if before is None or after is None:
        yield from _changed(name, "capabilities", before, after)
        return
    # What changes alike in several sets is told once.
    changed: dict[tuple[str, str], list[str]] = {}
    for field in fields(Capabilities):
        old, new = set(getattr(before, field.name)), set(getattr(after, field.name))
        if old != new:
            changed.setdefault((set_words(old), set_words(new)), []).append(field.name)
    for (was, now), sets in changed.items():
        yield Difference(name, f"{', '.join(sets)} capabilities", was, now)


def _fragments(document: PolicyDocument) -> list[str]:
    return [
        f"{fragment.feed} by {fragment.issuer}, version {fragment.minimum_svn} or later, "
        f"for {', '.join(fragment.includes)}"
        for fragment in document.fragments
    ]


def _env(rule: Any) -> str:
    kind = " (expression)" if rule.strategy == "re2" else ""
    return f"{rule.pattern}{kind}{' (required)' if rule.required else ''}"


def _mount(rule: Any) -> str:
    return f"{rule.destination} from {rule.source} ({', '.join(sorted(rule.options))}; {rule.type})"


def _exec(process: Any) -> str:
    signals = f" (signals {', '.join(map(str, process.signals))})" if process.signals else ""
    return " ".join(process.command) + signals


def _sets(subject: str, field: str, before: Iterable[Any], after: Iterable[Any]) -> list[Difference]:
    old, new = dict.fromkeys(before), dict.fromkeys(after)
    removed = [Difference(subject, field, item, None) for item in old if item not in new]
    return removed + [Difference(subject, field, None, item) for item in new if item not in old]


def _changed(subject: str, field: str, before: Any, after: Any) -> list[Difference]:
    return [] if before == after else [Difference(subject, field, before, after)]
