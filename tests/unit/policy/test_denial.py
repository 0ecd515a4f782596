import base64
import json

import pytest

from confidential_summarizer.policy.denial import _CAUSES, Denial, explain, explanation, find_denial


def blob(document: object) -> str:
    return f"policyDecision< {base64.b64encode(json.dumps(document).encode()).decode()} >policyDecision"


DEVICE = {
    "decision": "deny",
    "input": {"deviceHash": "ab" * 32, "rule": "mount_device", "target": "/run/mounts/m9"},
    "reason": {"errors": ["deviceHash not found"]},
}


def test_a_refusal_is_found_in_the_message_around_it() -> None:
    text = f"failed to create containerd task: guest RPC failure: container creation denied due to policy: {blob(DEVICE)}: unknown"
    found = find_denial(text)
    assert found is not None
    assert (found.rule, found.errors) == ("mount_device", ("deviceHash not found",))


@pytest.mark.parametrize("padding", ["=", ""])
@pytest.mark.parametrize("target", ["/run/mounts/m9", "/run/mounts/m90", "/run/mounts/m900", "\u00ff\u00fe\u00bf?>~"])
def test_a_refusal_is_read_in_either_alphabet_of_base64_with_and_without_padding(padding: str, target: str) -> None:
    decision = json.dumps(DEVICE | {"input": {"rule": "mount_device", "target": target}}, ensure_ascii=False).encode()
    plain = base64.b64encode(decision).decode()
    for encoded in (plain, base64.urlsafe_b64encode(decision).decode()):
        found = find_denial(f"policyDecision< {encoded.rstrip('=') if not padding else encoded} >policyDecision")
        assert found is not None
        assert found.input["target"] == target


def test_the_first_refusal_that_can_be_read_counts() -> None:
    broken = "policyDecision< AAAA >policyDecision"
    found = find_denial(f"{broken} {blob({'decision': 'allow'})} {blob(DEVICE)}")
    assert found is not None
    assert found.errors == ("deviceHash not found",)


def test_beside_a_refusal_that_cannot_be_read_the_text_around_it_counts() -> None:
    found = find_denial(
        "mount_device not allowed by policy. Errors: [deviceHash not found, overlay has already been mounted]: "
        "policyDecision< AAAA >policyDecision"
    )
    assert found is not None
    assert (found.rule, found.errors) == ("mount_device", ("deviceHash not found", "overlay has already been mounted"))


def test_every_reason_of_a_refusal_is_kept_and_explained() -> None:
    found = find_denial(blob(DEVICE | {"reason": {"errors": ["invalid command", "invalid env list: A"]}}))
    assert found is not None
    assert found.errors == ("invalid command", "invalid env list: A")
    assert len(explain(found)) == 2
    assert explanation(found).count(";") >= 2


@pytest.mark.parametrize(
    "odd", [{"input": [1]}, {"input": {}}, {"reason": []}, {"reason": {"errors": "x"}}, {"truncated": "input"}]
)
def test_a_refusal_of_another_shape_is_still_one(odd: dict[str, object]) -> None:
    assert find_denial(blob({"decision": "deny"} | odd)) == Denial("", (), {})


def test_an_older_message_without_a_blob_is_found_too() -> None:
    text = "failed to add LCOW layer: denied by policy: mount_device not allowed by policy. Errors: [deviceHash not found]. Input: {…}"
    found = find_denial(text)
    assert found is not None
    assert (found.rule, found.errors) == ("mount_device", ("deviceHash not found",))


def test_a_message_that_only_names_a_refusal_is_one() -> None:
    assert find_denial("exec in container denied due to policy") == Denial("", (), {})


@pytest.mark.parametrize(
    "text", ["", "Pulled image", "policyDecision< !!!! >policyDecision", blob([1]), blob({"decision": "allow"})]
)
def test_what_is_no_refusal_is_none(text: str) -> None:
    assert find_denial(text) is None


def test_a_reason_in_one_sentence_and_an_error_of_the_policy_are_kept() -> None:
    found = find_denial(
        blob({"decision": "deny", "reason": "Security policy is not valid.", "policyError": "no api_version"})
    )
    assert found is not None
    assert found.errors == ("Security policy is not valid.", "no api_version")


@pytest.mark.parametrize("start", [cause[0] for cause in _CAUSES])
def test_every_known_reason_has_a_cause_and_a_remedy(start: str) -> None:
    (explained,) = explain(Denial("create_container", (f"{start}: A,B",), {"argList": ["/x"], "deviceHash": "ab"}))
    assert explained.cause
    assert "{" not in explained.cause
    assert explained.remedy


def test_an_explanation_names_what_the_refusal_is_about() -> None:
    (layer,) = explain(Denial("mount_device", ("deviceHash not found",), {"deviceHash": "ab" * 32}))
    (env,) = explain(Denial("create_container", ("invalid env list: MODE,X",), {}))
    assert "ab" * 32 in layer.cause
    assert "MODE,X" in env.cause


def test_unknown_and_missing_reasons_are_explained_as_far_as_possible() -> None:
    assert explain(Denial("x", ("something new",), {}))[0].error == "something new"
    assert "shortened: input, reason" in explain(Denial("x", (), {}, ("input", "reason")))[0].cause
