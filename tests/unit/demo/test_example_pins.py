"""The example pins exactly what lies beside it."""

from pathlib import Path

import yaml

from confidential_summarizer.sealing import read_manifest
from demo.run import EXAMPLES, RESOURCE, copy_models


def test_the_example_pins_the_documents_and_models_beside_it(tmp_path: Path) -> None:
    copy_models(tmp_path)
    file_systems = yaml.safe_load(RESOURCE.read_text())["spec"]["fileSystems"]
    pinned = {each["role"]: each["contentSHA256"] for each in file_systems}
    assert pinned == {
        "Documents": read_manifest(EXAMPLES / "documents").sha256,
        "Models": read_manifest(tmp_path).sha256,
    }
