"""Who makes an image wants the memory and the time of whoever measures it: the operator's, or the data owner's."""

import gzip
import io
import json
import sys
import tarfile
import tempfile
import weakref
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from confidential_summarizer.errors import ImageError
from confidential_summarizer.measurement import image as measurement
from confidential_summarizer.measurement import limits
from confidential_summarizer.measurement.cache import MemoryCache
from confidential_summarizer.measurement.image import Measurer
from confidential_summarizer.measurement.layer import MeasuredLayer, measure_layer
from confidential_summarizer.measurement.limits import IN_THREAD, BeyondLimits, Limits
from confidential_summarizer.measurement.shared import SharedMeasurer
from confidential_summarizer.registry import ImageArchive, RegistryClient
from confidential_summarizer.registry.image import parse_object
from tests.support.fake_registry import MANIFEST, FakeRegistry

MANY = IN_THREAD.entries + 1


def tar(*names: str, format_: int = tarfile.PAX_FORMAT, data: bytes = b"") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format_) as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def deep(directories: int) -> bytes:
    """One entry, some bytes as stored, that makes as many directories as it likes."""
    return tar("a/" * directories + "file")


@pytest.fixture
async def registry() -> AsyncIterator[FakeRegistry]:
    fake = FakeRegistry()
    async with fake.serve():
        yield fake


async def measured(registry: FakeRegistry, layer: bytes) -> tuple[MeasuredLayer, ...]:
    registry.add_image(layer)
    async with RegistryClient(loopback=True) as client:
        return (await Measurer(MemoryCache()).measure(client, f"{registry.address}/app")).details


@pytest.mark.parametrize("layer", [tar(*map(str, range(MANY)), format_=tarfile.USTAR_FORMAT), deep(MANY)])
async def test_what_costs_much_memory_never_gets_it_from_the_process_that_serves_everybody(
    registry: FakeRegistry, layer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = []
    in_process = measurement._in_process

    async def noted(chunks: AsyncIterator[bytes]) -> MeasuredLayer:
        elsewhere.append(True)
        return await in_process(chunks)

    monkeypatch.setattr(measurement, "_in_process", noted)
    (detail,) = await measured(registry, layer)
    assert elsewhere == [True]
    assert detail.root_hash == measure_layer([layer]).root_hash


@pytest.mark.slow
async def test_three_kilobytes_that_make_a_million_directories_are_refused(registry: FakeRegistry) -> None:
    layer = tar(*(f"{n}/" + "a/" * 400_000 + "file" for n in range(3)))
    assert len(gzip.compress(layer)) < 4096
    with pytest.raises(ImageError, match="more than 1048576 files"):
        await measured(registry, layer)


@pytest.mark.parametrize("layer", [tar("a", "b", "c"), tar("x/y/z")])
def test_entries_and_the_directories_that_they_imply_are_counted(layer: bytes) -> None:
    with pytest.raises(BeyondLimits, match="more than 2 files"):
        measure_layer([gzip.compress(layer)], Limits(size=1 << 20, entries=2))


def test_bytes_are_counted_once_they_are_inflated() -> None:
    with pytest.raises(BeyondLimits, match="larger than 1 MiB"):
        measure_layer([gzip.compress(tar("a", data=bytes(2 << 20)))], Limits(size=1 << 20, entries=2))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "message"), [("MEMORY", 256 << 20, "MiB of memory"), ("CPU_SECONDS", 1, "takes more than")]
)
async def test_a_process_that_measures_ends_within_its_bounds_and_says_so(
    registry: FakeRegistry, name: str, value: int, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The same worker, with smaller bounds: what it would take to reach the real ones is too much for a test.
    (tmp_path / "sitecustomize.py").write_text(
        f"from confidential_summarizer.measurement import limits\nlimits.{name} = {value}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(limits, name, value)
    monkeypatch.setattr(measurement, "_INLINE", 0)
    with pytest.raises(ImageError, match=message):
        await measured(registry, tar(*(f"{n}/" + "a/" * 100_000 + "file" for n in range(4))))


async def test_a_machine_with_limits_of_its_own_keeps_them(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurement, "_INLINE", 0)
    monkeypatch.setattr(measurement.sys, "executable", _limited())
    (detail,) = await measured(registry, tar("a"))
    assert detail.root_hash == measure_layer([tar("a")]).root_hash


def _limited() -> str:
    """Return a Python that starts with less address space, and less time, than the worker would take."""
    folder = Path(tempfile.mkdtemp())
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nulimit -v {600 * 1024}; ulimit -t 60\nexec {sys.executable} "$@"\n')
    script.chmod(0o755)
    return str(script)


async def test_an_absurd_manifest_is_not_even_read(registry: FakeRegistry) -> None:
    registry.manifests["latest"] = (MANIFEST, b'{"layers": [' + b"[]," * 1_000_000 + b"[]]}")
    async with RegistryClient(loopback=True) as client:
        with pytest.raises(ImageError, match="more than 65536 parts"):
            await client.resolve(f"{registry.address}/app")
    with pytest.raises(ImageError, match="more than 65536 parts"):
        parse_object(b"[" * 100_000, "it")


async def test_an_image_of_more_layers_than_can_be_mounted_is_refused(registry: FakeRegistry) -> None:
    registry.add_image(*(str(n).encode() for n in range(300)))
    async with RegistryClient(loopback=True) as client:
        with pytest.raises(ImageError, match="has 300 layers"):
            await client.resolve(f"{registry.address}/app")


def test_an_archive_of_too_many_files_is_no_image_and_costs_no_memory(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar("manifest.json", "x.json", *map(str, range(20_000))))
    with ImageArchive(tmp_path / "a.tar") as archive:
        assert not archive.has_images()


def test_an_archive_s_extended_header_is_not_read_into_memory_whole(tmp_path: Path) -> None:
    bomb = tar("n" * (2 << 20))
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(bomb))
    with pytest.raises(ImageError, match="a header of"), ImageArchive(tmp_path / "a.tar.gz"):
        pass


def test_messages_hold_no_more_of_a_layer_than_people_read() -> None:
    layer = measure_layer([deep(5000)])
    assert len(json.dumps(layer.to_json())) < 2000


async def test_no_module_in_the_folder_that_csum_is_called_in_runs_while_an_image_is_measured(
    registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("open('ran', 'w')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measurement, "_INLINE", 0)
    assert len(await measured(registry, tar("a"))) == 1
    assert not (tmp_path / "ran").exists()


async def test_images_with_megabytes_of_variables_do_not_stay_in_memory(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("confidential_summarizer.measurement.shared.RegistryClient", partial(RegistryClient, loopback=True))  # fmt: skip
    measure = SharedMeasurer(MemoryCache()).with_pull_secret(None)
    remembered = []
    for number in range(8):
        digest = registry.add_image(tar("a"), Env=[f"V{number}={'x' * 7_000_000}"])
        remembered.append(weakref.ref(await measure(f"{registry.address}/app@{digest}")))
        registry.blobs.clear()
    assert remembered[0]() is None
    assert remembered[-1]() is not None
