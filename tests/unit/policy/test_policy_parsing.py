import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from confidential_summarizer.errors import PolicyError
from confidential_summarizer.policy.contracts import CONTRACTS
from confidential_summarizer.policy.document import (
    Capabilities,
    ContainerRules,
    EnvRule,
    ExecProcess,
    Fragment,
    IdentityRule,
    MountRule,
    PolicyDocument,
    PolicyFlags,
    UserRule,
)
from confidential_summarizer.policy.parsing import parse_policy
from confidential_summarizer.policy.settings import PolicySettings
from confidential_summarizer.policy.text import SIDECAR_PACKAGE, render
from confidential_summarizer.policy.virtual_node import virtual_node_policy
from tests.support.policy_scenarios import IMAGES, POD

text = st.text(st.characters(codec="utf-8"), max_size=30)
texts = st.lists(text, max_size=4).map(tuple)
identities = st.builds(IdentityRule, text, st.sampled_from(["any", "id", "name", "re2"]))
containers = st.builds(
    ContainerRules,
    name=text.filter(bool),
    id=st.none() | text,
    layers=texts,
    command=st.none() | texts,
    env_rules=st.lists(st.builds(EnvRule, text, st.sampled_from(["string", "re2"]), st.booleans()), max_size=3).map(
        tuple
    ),
    mounts=st.lists(st.builds(MountRule, text, text, texts, text), max_size=3).map(tuple),
    capabilities=st.none() | st.builds(Capabilities, texts, texts, texts, texts, texts),
    working_dir=text,
    user=st.builds(UserRule, identities, st.lists(identities, max_size=2).map(tuple), text),
    signals=st.lists(st.integers(0, 64) | text, max_size=3).map(tuple),
    exec_processes=st.lists(st.builds(ExecProcess, texts), max_size=2).map(tuple),
    allow_elevated=st.booleans(),
    allow_stdio_access=st.booleans(),
    no_new_privileges=st.booleans(),
    seccomp_profile_sha256=text,
)
fragments = st.builds(Fragment, text, text, st.integers(0, 99).map(str), st.just(("containers", "fragments")))
documents = st.builds(
    PolicyDocument,
    api_version=st.just("0.11.0"),
    framework_version=st.just("0.2.3"),
    fragments=st.lists(fragments, max_size=2).map(tuple),
    containers=st.lists(containers, max_size=3).map(tuple),
    flags=st.builds(PolicyFlags, *[st.booleans()] * 6),
    rules=st.just(CONTRACTS["0.11"].rules),
)


@settings(max_examples=150, deadline=None)
@given(documents, st.booleans())
def test_reading_gives_back_what_was_written(document: PolicyDocument, pretty: bool) -> None:
    assert parse_policy(render(document, pretty=pretty).text) == document


def test_azure_s_own_fragment_has_neither_fragments_nor_rules_nor_names() -> None:
    known = parse_policy(TEXT)
    container = replace(known.containers[0], name="")
    fragment = PolicyDocument(
        known.api_version, known.framework_version, (), (container,), PolicyFlags(*[False] * 7), (), SIDECAR_PACKAGE
    )
    assert parse_policy(render(fragment).text) == fragment


TEXT = virtual_node_policy(POD, IMAGES, PolicySettings()).text
CHANGES = {
    "another package": (("package policy", "package other"), "package policy"),
    "a rule of its own": (("mount_device := data.framework.mount_device", 'mount_device := {"allowed": true}'), "by itself"),
    "a rule bound to another": (
        ("exec_external := data.framework.exec_external", "exec_external := data.framework.get_properties"),
        "by itself",
    ),
    "a rule twice": (('reason := {', 'allow_dump_stacks := true\nreason := {'), "twice"),
    "an unknown definition": (('reason := {', 'allow_everything := true\nreason := {'), "does not know"),
    "a body": (('reason := {', 'containers[x] { x := 1 }\nreason := {'), "something else"),
    "another reason": (('data.framework.errors}', 'data.framework.errors, "x": 1}'), "defines reason in an unknown way"),
    "an expression after a value": (("allow_dump_stacks := false", "allow_dump_stacks := false || true"), "more about allow_dump_stacks"),
    "a flag that is no truth value": (("allow_dump_stacks := false", "allow_dump_stacks := 0"), "wrong type .int for true"),
    "an unknown field": (('"allow_elevated":', '"allow_magic":true,"allow_elevated":'), "allow_magic"),
    "a repeated key": (('"allow_elevated":', '"allow_elevated":false,"allow_elevated":'), "containers is not JSON"),
    "a missing field": (('"working_dir":', '"working_dirs":'), "working_dirs|working_dir"),
    "an unknown strategy": (('"strategy":"string"', '"strategy":"glob"'), "an env rule of strategy 'glob'"),
    "an unknown strategy of a user": (('"strategy":"id"', '"strategy":"glob"'), "a user rule of strategy 'glob'"),
    "a comment": (("package policy", "package policy\n\n# a comment"), "something else .* in line 3:"),
    "an import": (("import future.keywords.in", "import data.evil"), "something else"),
    "containers computed": (("containers := [", "containers := data.x[_] + ["), "not JSON"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_is_not_in_the_known_layout_is_refused(change: str) -> None:
    (old, new), message = CHANGES[change]
    assert old in TEXT
    with pytest.raises(PolicyError, match=message):
        parse_policy(TEXT.replace(old, new, 1))


def changed(name: str, change: Callable[[Any], object]) -> str:
    """Return the policy with a change to what one of its statements says."""
    start = TEXT.index(f"{name} := ") + len(f"{name} := ")
    value, end = json.JSONDecoder().raw_decode(TEXT, start)
    change(value)
    return TEXT[:start] + json.dumps(value) + TEXT[end:]


PARTS: dict[str, Callable[[Any], Any]] = {
    "a container": lambda containers: containers[0],
    "an env rule": lambda containers: containers[0]["env_rules"][0],
    "a mount": lambda containers: containers[0]["mounts"][0],
    "an exec process": lambda containers: containers[0]["exec_processes"][0],
    "capabilities": lambda containers: containers[0]["capabilities"],
    "a user rule": lambda containers: containers[0]["user"],
    "a user rule of a user": lambda containers: containers[0]["user"]["user_idname"],
    "a user rule of a group": lambda containers: containers[0]["user"]["group_idnames"][0],
    "a fragment": lambda fragments: fragments[0],
}
FIELDS = {
    "a container": ["layers", "command", "env_rules", "mounts", "working_dir", "user", "signals", "exec_processes",
                    "allow_elevated", "allow_stdio_access", "no_new_privileges", "seccomp_profile_sha256", "id"],
    "an env rule": ["pattern", "strategy", "required"],
    "a mount": ["destination", "source", "options", "type"],
    "an exec process": ["command", "signals"],
    "capabilities": ["bounding", "effective", "inheritable", "permitted", "ambient"],
    "a user rule": ["user_idname", "group_idnames", "umask"],
    "a user rule of a user": ["pattern", "strategy"],
    "a user rule of a group": ["pattern", "strategy"],
    "a fragment": ["feed", "issuer", "includes"],
}  # fmt: skip
TEXT_FIELDS = {"working_dir", "seccomp_profile_sha256", "id", "pattern", "destination", "source", "type", "umask", "feed",
          "issuer"}  # fmt: skip


def statement(part: str) -> str:
    return "fragments" if part == "a fragment" else "containers"


@pytest.mark.parametrize("part", PARTS)
def test_a_field_that_is_not_known_is_refused_wherever_it_stands(part: str) -> None:
    text = changed(statement(part), lambda value: PARTS[part](value).update(allow_magic=True))
    subject, _, _ = part.partition(" of ")
    with pytest.raises(PolicyError, match=f"gives {subject} a field 'allow_magic', which this tool does not know"):
        parse_policy(text)


@pytest.mark.parametrize(("part", "name"), [(part, name) for part in FIELDS for name in FIELDS[part]])
def test_a_field_of_another_type_is_refused_wherever_it_stands(part: str, name: str) -> None:
    def with_value(value: object) -> str:
        return changed(statement(part), lambda given: PARTS[part](given).update({name: value}))

    right: tuple[object, ...] = ("text",) if name in TEXT_FIELDS else ([7],) if name == "signals" else ()
    for value in (value for value in ("text", 7, [7], [True], {"x": 1}, {}) if value not in right):
        with pytest.raises(PolicyError):
            parse_policy(with_value(value))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("working_dir", 7, "int for a text"),
        ("allow_elevated", 0, "int for true or false"),
        ("layers", {}, "dict for a list"),
        ("mounts", "", "str for a list"),
        ("mounts", ["x"], "a mount that is no object"),
        ("signals", "", "signals that are no list of numbers"),
    ],
)
def test_the_type_of_a_value_is_named_where_another_is_asked_for(name: str, value: object, said: str) -> None:
    with pytest.raises(PolicyError, match=f"wrong type .{said}"):
        parse_policy(changed("containers", lambda containers: containers[0].update({name: value})))


@pytest.mark.parametrize("part", [part for part in PARTS if part not in {"a container", "a fragment"}])
def test_what_is_no_object_is_refused_where_one_has_to_be(part: str) -> None:
    """An object of one field in a list is no list of its fields, and a text has no fields at all."""
    holder, _, name = {
        "an env rule": "a container env_rules",
        "a mount": "a container mounts",
        "an exec process": "a container exec_processes",
        "capabilities": "a container capabilities",
        "a user rule": "a container user",
        "a user rule of a user": "a user rule user_idname",
        "a user rule of a group": "a user rule group_idnames",
    }[part].rpartition(" ")
    for value in ("text", ["text"], {"text": {}}, [["text"]], True):
        text = changed("containers", lambda given, value=value: PARTS[holder](given).update({name: value}))
        with pytest.raises(PolicyError):
            parse_policy(text)


@pytest.mark.parametrize("name", ["mount_device", "allow_dump_stacks", "reason", "containers"])
def test_nothing_is_said_twice(name: str) -> None:
    (line,) = [line for line in TEXT.split("\n") if line.startswith(f"{name} := ")]
    value = line if name != "containers" else "containers := []"
    with pytest.raises(PolicyError, match=f"defines {name} twice"):
        parse_policy(TEXT + f"\n{value}\n")


def test_a_text_longer_than_any_policy_is_refused_unread() -> None:
    longest = 16 << 20
    assert parse_policy(TEXT + "\n" * (longest - len(TEXT)))
    with pytest.raises(PolicyError, match="longer than"):
        parse_policy(TEXT + "\n" * (longest - len(TEXT) + 1))


@pytest.mark.parametrize("missing", ["api_version", "framework_version", "containers"])
def test_a_policy_without_a_part_is_refused(missing: str) -> None:
    lines = [line for line in TEXT.split("\n") if not line.startswith(f"{missing} :=")]
    with pytest.raises(PolicyError, match=missing):
        parse_policy("\n".join(lines))


@given(st.text(max_size=200))
def test_any_text_is_a_policy_or_an_error_of_ours(anything: str) -> None:
    with pytest.raises(PolicyError):
        parse_policy(anything)
    with pytest.raises(PolicyError):
        parse_policy("package policy\n\n" + anything)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(PolicyError):
        parse_policy(TEXT.replace("containers := [", "containers := " + "[" * 100_000, 1))
