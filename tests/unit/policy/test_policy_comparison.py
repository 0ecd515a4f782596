import json
from dataclasses import replace

from confidential_summarizer.measurement.layer import MeasuredLayer
from confidential_summarizer.policy.comparison import Difference, compare
from confidential_summarizer.policy.description import describe, sentences
from confidential_summarizer.policy.lint import lint_capability_names, lint_layers, lint_policy, lint_references
from confidential_summarizer.policy.parsing import parse_policy
from confidential_summarizer.policy.settings import PolicySettings
from confidential_summarizer.policy.text import render
from confidential_summarizer.policy.virtual_node import virtual_node_policy
from tests.support.policy_scenarios import IMAGES, POD, policy


def test_the_layout_of_the_text_does_not_count() -> None:
    document = parse_policy(policy().text)
    assert compare(document, parse_policy(render(document, pretty=True).text)) == ()


def test_what_differs_is_named_by_container_and_field() -> None:
    pod = json.loads(json.dumps(POD))
    pod["spec"]["containers"][0]["env"][0]["value"] = "lax"
    pod["spec"]["containers"][1]["volumeMounts"] = []
    changed = virtual_node_policy(pod, IMAGES, PolicySettings(debug=True))
    found = compare(parse_policy(policy().text), parse_policy(changed.text))
    assert Difference("app", "env rule", "MODE=strict", None) in found
    assert Difference("app", "env rule", None, "MODE=lax") in found
    assert Difference("app", "exec process", None, "/bin/sh") in found
    assert Difference("policy", "allow_dump_stacks", False, True) in found
    assert {item.before for item in found if item.field == "mount"} == {
        "/mnt/files from sandbox:///tmp/atlas/emptydir/.+ (rbind, rshared, rw; bind)"
    }


def test_capabilities_that_change_alike_in_several_sets_are_told_once() -> None:
    pod = json.loads(json.dumps(POD))
    pod["spec"]["containers"][0]["securityContext"]["capabilities"] = {"drop": ["ALL"], "add": ["SETUID"]}
    narrowed = parse_policy(virtual_node_policy(pod, IMAGES, PolicySettings()).text)
    (found,) = compare(parse_policy(policy().text), narrowed)
    assert found == Difference("app", "bounding, effective, permitted capabilities", "usual", "only CAP_SETUID")
    app, *others = narrowed.containers
    assert app.capabilities is not None
    ambient = replace(app, capabilities=replace(app.capabilities, ambient=("CAP_SYS_ADMIN",)))
    (found,) = compare(narrowed, replace(narrowed, containers=(ambient, *others)))
    assert found == Difference("app", "ambient capabilities", "none", "only CAP_SYS_ADMIN")


def test_containers_that_come_and_go_are_named() -> None:
    pod = json.loads(json.dumps(POD))
    pod["spec"]["containers"][1]["name"] = "other"
    found = compare(parse_policy(policy().text), parse_policy(virtual_node_policy(pod, IMAGES, PolicySettings()).text))
    assert [(item.subject, item.field) for item in found] == [("encfs", "container"), ("other", "container")]


def test_a_description_marks_open_values_and_privileges() -> None:
    document = parse_policy(policy().text)
    described = describe(document, policy().host_data)
    app, encfs, _ = described["containers"]
    assert {"rule": "POD_IP=.*", "required": False, "from": "any value that matches"} in app["environment"]
    assert {"rule": "MODE=strict", "required": False, "from": "pinned"} in app["environment"]
    assert {"rule": "HOSTNAME=.+", "required": False, "from": "platform"} in app["environment"]
    assert encfs["privileged"]
    assert encfs["capabilities"] == "all"
    words = "\n".join(sentences(document))
    assert "encfs is PRIVILEGED." in words
    assert "app leaves the values of variables open: POD_IP=.*." in words
    assert "DEBUG" not in words
    assert sentences(parse_policy(policy(debug=True).text))[0].startswith("DEBUG")


def test_a_description_is_plain_data() -> None:
    described = describe(parse_policy(policy().text), "0" * 64)
    assert json.loads(json.dumps(described)) == described


def test_lint_finds_what_will_surprise() -> None:
    layer = MeasuredLayer("sha256:" + "a" * 64, "b" * 64, 100, "zstd", missing_parents=2, examples=("usr/bin/x",))
    found = [
        *lint_layers("x.io/app", [layer]),
        *lint_references(["x.io/app:1", "x.io/app@sha256:" + "a" * 64]),
        *lint_capability_names("app", {"capabilities": {"add": ["NET_ADMIN"], "drop": ["CAP_CHOWN"]}}),
        *lint_policy(parse_policy(policy(debug=True).text)),
    ]
    assert [finding.rule for finding in found] == [
        "missing-parent", "zstd", "tag", "capability-prefix", "debug", "wildcard", "privileged",
    ]  # fmt: skip
    assert all(finding.message and finding.remedy for finding in found)


def test_lint_has_nothing_to_say_about_a_good_layer() -> None:
    layer = MeasuredLayer("sha256:" + "a" * 64, "b" * 64, 100, "gzip")
    assert list(lint_layers("x.io/app", [layer])) == []
