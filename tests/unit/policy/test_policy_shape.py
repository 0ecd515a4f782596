"""A file that is no template, manifest or description ends in a sentence that names the place, whatever is wrong."""

import asyncio
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from confidential_summarizer.cli.policy.inputs import Input, read_definitions, read_input
from confidential_summarizer.errors import PolicyError, SummarizerError
from confidential_summarizer.measurement.image import MeasuredImage
from confidential_summarizer.policy.settings import PolicySettings
from tests.support.fakes import measured

SPECIMENS = yaml.safe_load((Path(__file__).parents[2] / "data" / "policy" / "specimens.yaml").read_text())
WRONG = (None, "x", 5, True, [], {}, ["x"], [None], {"x": "y"}, [[]], -1, 1.5, "[parameters('no')]", "[concat('a'")
"""In place of any part of a file."""


def places(node: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield way
    if isinstance(node, dict | list):
        for key, part in node.items() if isinstance(node, dict) else enumerate(node):
            yield from places(part, (*way, key))


def put(document: Any, way: tuple[Any, ...], part: Any) -> Any:
    if not way:
        return part
    changed = copy.deepcopy(document)
    node = changed
    for key in way[:-1]:
        node = node[key]
    node[way[-1]] = part
    return changed


def read(name: str, document: Any, folder: Path) -> Input:
    path = folder / "file"
    path.write_text(yaml.safe_dump(document) if name == "manifest" else json.dumps(document))
    return read_definitions(path) if name == "definitions" else read_input(path)


async def measure(reference: str, *_: Any, **__: Any) -> MeasuredImage:
    return measured(reference)


def write_policies(source: Input) -> None:
    assert source.names()
    list(source.findings())
    source.existing()
    source.with_policies(asyncio.run(source.policies(measure, PolicySettings())))


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECIMENS)
def test_whatever_stands_in_whatever_place_it_is_read_or_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    write_policies(read(name, SPECIMENS[name], tmp_path))
    for way in places(SPECIMENS[name]):
        for part in WRONG:
            try:
                write_policies(read(name, put(SPECIMENS[name], way, part), tmp_path))
            except SummarizerError:
                continue
            except Exception as error:
                raise AssertionError(f"{part!r} at {way}") from error


@pytest.mark.parametrize(
    ("name", "way", "part", "message"),
    [
        ("template", ("resources", 0, "properties", "containers"), "x", "container group g.properties.containers must be a list"),
        ("template", ("variables",), 5, "the template.variables must be an object"),
        ("manifest", ("spec", "template", "spec", "containers", 0, "env"), [5],
         "the pod of Deployment/d.spec.containers[0].env[0] must be an object"),
        ("definitions", ("containers", 0, "properties", "securityContext", "capabilities", "add"), [7],
         "the input.containers[0].properties.securityContext.capabilities.add[0] must be text"),
    ],
)  # fmt: skip
def test_the_message_names_the_way_to_what_is_wrong(
    name: str, way: tuple[Any, ...], part: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(PolicyError) as refused:
        write_policies(read(name, put(SPECIMENS[name], way, part), tmp_path))
    assert str(refused.value) == message
