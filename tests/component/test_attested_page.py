"""The whole workload as it starts in a group, and its readers: root for a moment, evidence of its own, `csum open`."""

import asyncio
import hashlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from azure_sandbox.attester import Attester
from azure_sandbox.guest.secure_processor import SecureProcessor
from azure_sandbox.names import ATTESTATION
from demo.look_alike import look_alike
from tests.support.browser import reader
from tests.support.confined import PYTHON_PREFIX, confined, python_path
from tests.support.data_owner import Result, SmallAzure, csum
from tests.support.tls import unverified_tls

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="containers start as root"),
]

REPOSITORY = Path(__file__).parents[2]
HOST_DATA = hashlib.sha256(b"package policy\n").hexdigest()
TOKEN = "t" * 64
PATIENCE_SECONDS = 90


@pytest.fixture
async def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """The page's URL, once it serves."""
    with socket.socket() as free, tempfile.TemporaryDirectory(prefix="csum-") as home:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        with SmallAzure(Path(home)).running() as azure:
            for name, value in azure.state.client_environment().items():
                monkeypatch.setenv(name, value)
            monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", ssl.create_default_context())
            attester = Attester(azure.state.home / "azure" / "attester")
            environment = {
                **os.environ,
                "HOME": "/tmp",
                "PYTHONPATH": python_path(REPOSITORY / "workload"),
                "UVM_HOST_AMD_CERTIFICATE": attester.host_amd_cert_base64,
                "UVM_REFERENCE_INFO": attester.reference_info_base64,
                "SUMMARIZER_DOCUMENTS": json.dumps([{"directory": str(REPOSITORY / "examples" / "documents")}]),
                "SUMMARIZER_MODELS": "bart-demo",
                "SUMMARIZER_MODELS_DIRECTORY": str(REPOSITORY / "examples" / "models"),
                "SUMMARIZER_MAA": ATTESTATION,
                "SUMMARIZER_ADDRESS": "127.0.0.1",
                "SUMMARIZER_PORT": str(port),
                "SUMMARIZER_TOKEN_SHA256": hashlib.sha256(TOKEN.encode()).hexdigest(),
            }
            processor = SecureProcessor(attester, bytes.fromhex(HOST_DATA), debuggable=False)
            async with confined(
                processor, tmp_path, (str(PYTHON_PREFIX / "bin" / "python3"), "-m", "summarizer"), environment
            ) as process:
                url = f"https://127.0.0.1:{port}"
                await ready(url, process)
                yield url


async def ready(url: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS), aiohttp.ClientSession() as session:
        while True:
            assert process.returncode is None, await process.communicate()
            try:
                async with session.get(f"{url}/readyz", ssl=unverified_tls()) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)


async def ask(command: str, url: str, *options: object) -> Result:
    expected = ("--host-data", HOST_DATA, "--attestation", ATTESTATION)
    return await asyncio.to_thread(csum, command, url, *expected, *options)


async def test_a_reader_gets_the_summaries_over_a_channel_that_ends_in_the_group(page: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    verified = await ask("verify", page, "-o", "json")
    assert verified.code == 0, verified.err

    answer = await ask("open", page, "--token-file", tmp_path / "token", "--get", "/api/summaries")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["state"] == "Ready"

    refused = await ask("open", page, "--get", "/api/summaries")
    assert (refused.code, refused.out) == (4, ""), refused.err
    assert "--token-file" in refused.err

    with look_alike(page) as forged:
        answer = await ask("open", forged, "--token-file", tmp_path / "token", "--get", "/api/summaries")
    assert (answer.code, answer.out) == (1, "")
    assert "somebody stands between" in answer.err


@asynccontextmanager
async def opened(page: str, *options: object) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run `csum open` until it prints its link; it is ended with the block."""
    command = (
        Path(sys.executable).parent / "csum",
        "open",
        page,
        "--host-data",
        HOST_DATA,
        "--attestation",
        ATTESTATION,
    )
    process = await asyncio.create_subprocess_exec(
        *command, *map(str, options), "--no-browser", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield process, (await asyncio.wait_for(process.stdout.readline(), PATIENCE_SECONDS)).decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_a_program_uses_the_local_end_of_a_channel_until_it_is_closed(page: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    async with opened(page, "--token-file", tmp_path / "token") as (process, link):
        local, key = link.split("/?")
        host = local.removeprefix("http://")
        url = f"http://127.0.0.1:{host.rpartition(':')[2]}"
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(headers={"Host": host}, cookie_jar=jar) as session:
            async with session.get(f"{url}/api/summaries") as outside:
                assert outside.status == 403
            async with session.get(f"{url}/?{key}", allow_redirects=False) as into:
                assert into.status == 303
            async with session.get(f"{url}/api/summaries") as inside:
                assert (await inside.json())["state"] == "Ready"
        process.send_signal(signal.SIGINT)
        _, said = await asyncio.wait_for(process.communicate(), 30)
        assert (process.returncode, "The channel is closed." in said.decode()) == (0, True)


async def test_a_browser_reads_the_page_through_the_channel_and_no_other_name_leads_there(
    page: str, tmp_path: Path
) -> None:
    def read(link: str) -> None:
        with reader(link.partition("/?")[0], tmp_path) as one:
            one.driver.get(link)
            one.sign_in(TOKEN)
            one.sees("Ready.")  # drawn by what comes over the web socket
            assert one.driver.current_url == one.url + "/"
            one.driver.get(one.url.replace(one.url.partition("//")[2].partition(":")[0], "localhost"))
            assert "This is not the name of this page." in one.text()
        (tmp_path / "another").mkdir()
        with reader(link, tmp_path / "another") as another:
            another.driver.get(link)
            assert "This link works once" in another.text()

    async with opened(page) as (_, link):
        await asyncio.to_thread(read, link)
