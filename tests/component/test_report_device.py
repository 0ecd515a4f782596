"""The secure processor's device, as the workload and the sidecar ask it: the real ioctl, answered by the sandbox.

And who may ask: in the process that reads text nobody, whatever runs in it.
"""

import asyncio
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from azure_sandbox.attester import Attester
from azure_sandbox.guest.secure_processor import SecureProcessor
from azure_sandbox.snp_report import parse
from confidential_summarizer.blueprint import SUMMARIZER_CAPABILITIES
from summarizer.evidence import runtime_data
from tests.support.confined import confined

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="containers start as root")

HOST_DATA = hashlib.sha256(b"package policy\n").digest()
SIDECARS = Path(__file__).parents[2] / "sandbox" / "sidecars"
NONCE = "n" * 43
PEER = "ee" * 32

WORKLOAD = """
from summarizer.attestation.device import Device
print(Device.open().report(bytes(range(64))).hex())
"""
SIDECAR = """
from attested_release.guest import device_report
print(device_report(bytes(range(64))).hex())
"""
IMPORTS = """
import fcntl, os
from summarizer.attestation.custody import take_custody
from summarizer.attestation.device import KERNELS, Device
"""
ANOTHER_USER = "os.setgid(1000); os.setuid(1000)\n"
IN_CUSTODY = f"""
{IMPORTS}
keeper = take_custody()
keeper.evidence_of({PEER!r})
print(keeper.report({runtime_data(NONCE, PEER)!r}).hex(), os.getresuid(), os.getresgid(), os.getgroups())
"""


@pytest.fixture(scope="module")
def attester(tmp_path_factory: pytest.TempPathFactory) -> Attester:
    return Attester(tmp_path_factory.mktemp("attester"))


async def in_a_container(
    attester: Attester,
    folder: Path,
    program: str,
    *,
    debuggable: bool = False,
    capabilities: Sequence[str] = SUMMARIZER_CAPABILITIES,
) -> tuple[int, str, str]:
    """Run Python as in a container of the sandbox."""
    command = (sys.executable, "-c", program)
    processor = SecureProcessor(attester, HOST_DATA, debuggable=debuggable)
    environment = {**os.environ, "PYTHONPATH": str(SIDECARS)}
    async with confined(processor, folder, command, environment, capabilities) as process:
        out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("program", [WORKLOAD, SIDECAR])
@pytest.mark.parametrize("debuggable", [False, True])
async def test_a_report_carries_what_was_asked_and_the_hash_of_the_policy(
    attester: Attester, tmp_path: Path, program: str, debuggable: bool
) -> None:
    code, out, err = await in_a_container(attester, tmp_path, program, debuggable=debuggable)

    assert code == 0, err
    report = parse(bytes.fromhex(out), attester.chain.chip_key.public_key())
    assert (report.report_data, report.host_data) == (bytes(range(64)), HOST_DATA)
    assert report.debuggable is debuggable


async def test_any_user_of_a_container_can_open_the_device_as_it_comes(attester: Attester, tmp_path: Path) -> None:
    """Which is why the summarizer closes it: whoever has reports made over a key of theirs gets the sealed one."""
    code, out, err = await in_a_container(attester, tmp_path, IMPORTS + ANOTHER_USER + WORKLOAD)

    assert code == 0, err
    assert len(bytes.fromhex(out)) == 1184


async def test_the_keeper_makes_evidence_for_a_process_without_any_right(attester: Attester, tmp_path: Path) -> None:
    code, out, err = await in_a_container(attester, tmp_path, IN_CUSTODY)

    assert code == 0, err
    report, rights = out.split(" ", 1)
    parsed = parse(bytes.fromhex(report), attester.chain.chip_key.public_key())
    assert parsed.report_data == hashlib.sha256(runtime_data(NONCE, PEER)).digest() + bytes(32)
    assert rights.strip() == "(1000, 1000, 1000) (1000, 1000, 1000) []"


@pytest.mark.parametrize(
    "attack",
    [
        "Device.open()",
        "os.chmod('/dev/sev-guest', 0o666); Device.open()",
        "os.setuid(0)",
        "[os.open(f'/proc/{os.getpid() + n}/fd/{fd}', os.O_RDWR) for n in range(1, 9) for fd in range(3, 9)][0]",
        "fcntl.ioctl(os.open('/dev/null', os.O_RDWR), 0xC0205300, bytearray(32))",
        "Device(0, KERNELS[0]).report(b'')",
    ],
)
async def test_what_runs_beside_the_text_cannot_have_a_report_of_its_own(
    attester: Attester, tmp_path: Path, attack: str
) -> None:
    program = f"{IN_CUSTODY}\nprint('in custody')\n{attack}\nprint('had')"
    code, out, err = await in_a_container(attester, tmp_path, program)

    assert (code, "in custody" in out, "had" in out) == (1, True, False), out + err


@pytest.mark.parametrize("asked", [b'{"keys":[]}', runtime_data(NONCE, "dd" * 32), b"x"])
async def test_the_keeper_makes_no_report_over_a_wrapping_key(attester: Attester, tmp_path: Path, asked: bytes) -> None:
    """Runtime data with `keys` is what a vault wraps a released key to."""
    code, _, err = await in_a_container(attester, tmp_path, f"{IN_CUSTODY}\nprint(keeper.report({asked!r}))")

    assert code == 1
    assert "makes evidence only" in err


async def test_nobody_tells_the_keeper_another_key_where_the_page_makes_no_evidence(
    attester: Attester, tmp_path: Path
) -> None:
    """Without an attestation service the keeper waited for its first message, whoever got to send it."""
    program = f"""{IMPORTS}
from pathlib import Path
from summarizer.server import evidence_desk
from summarizer.settings import Settings
keeper = take_custody()
settings = Settings(documents=[{{"directory": "/x"}}], models=("m",), models_directory=Path("/x"))
print(evidence_desk(settings, keeper, {PEER!r}))
keeper.evidence_of({"dd" * 32!r})
keeper.report({runtime_data(NONCE, "dd" * 32)!r})
"""
    code, out, err = await in_a_container(attester, tmp_path, program)

    assert (code, out.strip()) == (1, "None"), err
    assert "makes evidence only" in err


@pytest.mark.parametrize("missing", SUMMARIZER_CAPABILITIES)
async def test_the_container_gets_no_capability_that_it_could_start_without(
    attester: Attester, tmp_path: Path, missing: str
) -> None:
    fewer = [name for name in SUMMARIZER_CAPABILITIES if name != missing]
    code, out, err = await in_a_container(attester, tmp_path, IN_CUSTODY, capabilities=fewer)

    assert (code, out) == (1, "")
    assert "it needs the capabilities SETUID and SETGID" in err


async def test_once_it_reads_text_neither_half_of_the_summarizer_has_a_capability(
    attester: Attester, tmp_path: Path
) -> None:
    program = f"""{IN_CUSTODY}
from pathlib import Path
for number in Path("/proc").glob("[0-9]*"):
    status = dict(line.split(":", 1) for line in (number / "status").read_text().splitlines())
    if status["Uid"].split()[0] in ("1000", "1001"):
        print([status[name].strip() for name in ("CapPrm", "CapEff", "CapAmb", "NoNewPrivs")])
"""
    code, out, err = await in_a_container(attester, tmp_path, program)

    assert code == 0, err
    none = ["0" * 16, "0" * 16, "0" * 16, "1"]
    assert out.splitlines()[1:] == [str(none), str(none)]


async def test_a_container_that_does_not_start_as_root_is_refused(attester: Attester, tmp_path: Path) -> None:
    code, _, err = await in_a_container(attester, tmp_path, IMPORTS + ANOTHER_USER + IN_CUSTODY)

    assert code == 1
    assert "start the container as root" in err
