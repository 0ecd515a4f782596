"""Drift is what somebody else changed in what we deployed; what the API server adds by itself is none."""

import copy

from hypothesis import given
from hypothesis import strategies as st

from confidential_summarizer.targets.drift import differences

DESIRED = {
    "spec": {
        "replicas": 1,
        "containers": [
            {
                "name": "app",
                "image": "a@sha256:1",
                "env": [{"name": "A", "value": "1"}],
                "resources": {"requests": {"cpu": "500m", "memory": "2G"}},
                "command": ["/app", "--once"],
            }
        ],
    }
}


def live() -> dict:
    """The object as the API server holds it: defaults filled in, quantities rewritten."""
    document = copy.deepcopy(DESIRED)
    document["spec"]["containers"][0] |= {"imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/x"}
    document["spec"]["containers"][0]["resources"]["requests"] = {"cpu": "0.5", "memory": "2000M"}
    return document | {"status": {"replicas": 1}}


def container(document: dict) -> dict:
    return document["spec"]["containers"][0]


def test_what_the_api_server_fills_in_is_no_drift() -> None:
    assert list(differences(DESIRED, live())) == []


def test_a_changed_value_is_named_by_its_path() -> None:
    document = live()
    container(document)["env"][0]["value"] = "2"
    assert list(differences(DESIRED, document)) == ["spec.containers[app].env[A].value"]


def test_an_added_variable_is_drift() -> None:
    document = live()
    container(document)["env"].append({"name": "LD_PRELOAD", "value": "/x"})
    assert list(differences(DESIRED, document)) == ["spec.containers[app].env[LD_PRELOAD]"]


def test_an_added_container_is_drift() -> None:
    document = live()
    document["spec"]["containers"].append({"name": "spy", "image": "b"})
    assert list(differences(DESIRED, document)) == ["spec.containers[spy]"]


def test_the_order_of_variables_does_not_matter_but_that_of_a_command_does() -> None:
    document = live()
    container(document)["command"].reverse()
    assert list(differences(DESIRED, document)) == [
        "spec.containers[app].command[0]",
        "spec.containers[app].command[1]",
    ]


def test_a_removed_field_is_drift() -> None:
    document = live()
    del container(document)["image"]
    assert list(differences(DESIRED, document)) == ["spec.containers[app].image"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_nothing_drifts_from_itself(document: object) -> None:
    assert list(differences(document, copy.deepcopy(document))) == []
