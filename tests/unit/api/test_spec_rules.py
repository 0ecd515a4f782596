"""The Python form of the rules refuses what can never work, with the sentence that kubectl shows."""

from pathlib import Path

import pytest
import yaml

from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.errors import SpecError
from tests.support.resources import document, resource

CASES = yaml.safe_load((Path(__file__).parents[2] / "data/api/refused.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=[c["name"] for c in CASES])
def test_a_spec_that_can_never_work_is_refused_with_what_to_do(case: dict) -> None:
    with pytest.raises(SpecError) as refusal:
        ConfidentialSummarizer.parse(document(**case["change"]))
    assert case["message"] in str(refusal.value)


def test_a_working_spec_is_accepted_with_its_defaults() -> None:
    parsed = resource()
    assert parsed.spec.policy.profile == "Restricted"
    assert parsed.spec.file_systems[0].key.management == "External"
    assert parsed.key == "legal/contracts"


def test_a_field_of_another_shape_is_refused_without_words_of_our_code() -> None:
    with pytest.raises(SpecError, match=r"spec\.summarizer\.guard: Input should be an object with fields$"):
        ConfidentialSummarizer.parse(document(summarizer={"models": ["bart"], "guard": "report"}))


def test_an_unknown_field_is_refused_by_its_path() -> None:
    with pytest.raises(SpecError, match=r"spec\.summarizer\.modle"):
        ConfidentialSummarizer.parse(document(summarizer={"modle": "bart"}))


def test_a_refusal_never_repeats_the_refused_value() -> None:
    with pytest.raises(SpecError) as refusal:
        ConfidentialSummarizer.parse(document(image="planted secret value"))
    assert "planted" not in str(refusal.value)


def test_another_kind_is_refused_by_name() -> None:
    with pytest.raises(SpecError, match="found kind 'Pod'"):
        ConfidentialSummarizer.parse({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}})


@pytest.mark.parametrize("name", ["a.b", "n" * 64, "1st", "-a", "a-", "Upper"])
def test_a_name_that_nothing_could_be_deployed_under_is_refused(name: str) -> None:
    given = document()
    given["metadata"]["name"] = name
    with pytest.raises(SpecError, match=r"metadata\.name must have at most 63"):
        ConfidentialSummarizer.parse(given)
