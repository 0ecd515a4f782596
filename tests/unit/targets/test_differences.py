"""Two documents differ where anything is not the same, whatever order named things come in."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confidential_summarizer.targets.differences import differences

WANTED: dict[str, Any] = {
    "spec": {
        "replicas": 1,
        "containers": [
            {
                "name": "app",
                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                "command": ["/app", "-x"],
            }
        ],
        "ports": [],
    }
}


def found() -> dict[str, Any]:
    return copy.deepcopy(WANTED)


def container(document: dict[str, Any]) -> dict[str, Any]:
    first: dict[str, Any] = document["spec"]["containers"][0]
    return first


def test_a_changed_value_is_named_by_its_path() -> None:
    document = found()
    container(document)["env"][0]["value"] = "other"
    assert list(differences(WANTED, document)) == ["spec.containers[app].env[A].value"]


def test_an_added_field_variable_or_container_is_a_difference() -> None:
    document = found()
    document["spec"]["hostNetwork"] = True
    container(document)["env"].append({"name": "LD_PRELOAD", "value": "/x"})
    document["spec"]["containers"].append({"name": "spy", "image": "b"})
    document["spec"]["ports"].append({"port": 22})
    assert list(differences(WANTED, document)) == [
        "spec.containers[app].env[LD_PRELOAD]",
        "spec.containers[spy]",
        "spec.ports",
        "spec.hostNetwork",
    ]


def test_a_variable_that_another_of_its_name_shadows_is_a_difference() -> None:
    document = found()
    container(document)["env"].insert(0, {"name": "A", "value": "other"})
    assert list(differences(WANTED, document)) == ["spec.containers[app].env"]


def test_the_order_of_variables_does_not_matter_but_that_of_a_command_does() -> None:
    document = found()
    container(document)["env"].reverse()
    container(document)["command"].reverse()
    assert list(differences(WANTED, document)) == ["spec.containers[app].command[0]", "spec.containers[app].command[1]"]


def test_a_removed_field_is_a_difference() -> None:
    document = found()
    del container(document)["command"]
    assert list(differences(WANTED, document)) == ["spec.containers[app].command"]


@pytest.mark.parametrize(
    ("wanted", "found", "path"),
    [
        ("x", ["x"], "a"),
        (["x"], "x", "a"),
        ({"b": 1}, "x", "a"),
        ("x", {"b": 1}, "a"),
        ([{"name": "x"}], {"x": {"name": "x"}}, "a"),
        ({}, [], "a"),
        ([], ["x"], "a"),
        (["x"], [], "a"),
        (["/app"], ["/app", "--shell"], "a"),
        (["/app", "-x"], ["/app"], "a"),
        ([{"name": "x"}], [{"name": "x"}, {"unnamed": 1}], "a"),
        ([{"name": "x"}], [{"name": "x"}, "x"], "a"),
        ([{"name": "x"}, {"name": "y"}], [{"name": "x"}, {"name": "x"}], "a[1].name"),
        (False, None, "a"),
        (None, False, "a"),
        (0, None, "a"),
        ("", None, "a"),
        ({"b": {"c": [1, 2]}}, {"b": {"c": [1, 3]}}, "a.b.c[1]"),
    ],
)
def test_another_shape_another_length_and_nothing_at_all_are_differences(
    wanted: object, found: object, path: str
) -> None:
    assert list(differences({"a": wanted}, {"a": found})) == [path]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_nothing_drifts_from_itself(document: object) -> None:
    assert list(differences(document, copy.deepcopy(document))) == []
