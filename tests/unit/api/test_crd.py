"""The CRD files say what the models say."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from confidential_summarizer.api import crd
from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.status import ConditionType

ROOT = Path(__file__).parents[3]
FOLDERS = ["crds", "charts/confidential-summarizer/files"]


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("file", crd.DEFINITIONS)
def test_the_file_is_what_the_models_generate(folder: str, file: str) -> None:
    assert (ROOT / folder / file).read_text() == crd.render(crd.DEFINITIONS[file]()), "run `make crds`"


def version(definition: Callable[[], dict] = crd.summarizer_definition) -> dict:
    return yaml.safe_load(crd.render(definition()))["spec"]["versions"][0]


def properties(schema: dict, path: str = ""):
    for name, value in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        yield here, value
        yield from properties(value, here)
        yield from properties(value.get("items", {}), here + "[]")


@pytest.mark.parametrize("definition", crd.DEFINITIONS.values())
def test_every_field_has_a_description(definition: Callable[[], dict]) -> None:
    schema = version(definition)["schema"]["openAPIV3Schema"]
    missing = [path for path, value in properties(schema) if not value.get("description") and path != ".metadata"]
    assert missing == []


def test_a_fresh_object_does_not_look_current_to_kstatus() -> None:
    assert version()["schema"]["openAPIV3Schema"]["properties"]["status"]["default"] == {"observedGeneration": -1}


def test_the_columns_are_those_people_were_promised() -> None:
    columns = version()["additionalPrinterColumns"]
    assert [c["name"] for c in columns if not c.get("priority")] == [
        "Ready", "Reason", "Replicas", "Documents", "Policy", "Endpoint", "Age",
    ]  # fmt: skip
    assert [c["name"] for c in columns if c.get("priority")] == [
        "Target", "Key", "Attested", "Shards", "Done By", "Message",
    ]  # fmt: skip


def test_conditions_are_a_map_by_type() -> None:
    conditions = version()["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_part_in_the_reference(reason: Reason) -> None:
    page = (ROOT / "docs/reference/conditions.md").read_text()
    assert f"### {reason}\n" in page


@pytest.mark.parametrize("condition", list(ConditionType))
def test_every_condition_is_in_the_reference(condition: ConditionType) -> None:
    assert f"`{condition}`" in (ROOT / "docs/reference/conditions.md").read_text()
