"""The real server process on the shipped demo model: page, API, access, and what it may never say."""

import asyncio
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from confidential_summarizer.cli.open.door import Door
from confidential_summarizer.cli.open.peers import Peers
from confidential_summarizer.cli.open.proxy import Channel, local_end
from confidential_summarizer.evidence import Token, Verdict
from confidential_summarizer.pages import peer_of
from summarizer.text import paragraphs, sentences
from tests.support.page import (
    DOCUMENTS,
    PATIENCE_SECONDS,
    TOKEN,
    Page,
    serving,
)
from tests.support.tls import unverified_tls


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A server whose documents are mounted a moment after its start, as the sidecar does it."""
    folder = tmp_path_factory.mktemp("page")
    mount = folder / "remote"
    mount.mkdir()
    with serving(folder, mount / "documents") as page:
        page.wait_for("/healthz", 200)
        page.wait_for("/readyz", 503)
        assert page.json("/api/status")["state"] in ("WaitingForModel", "WaitingForKey")
        shutil.copytree(DOCUMENTS, mount / ".filesystem-0")
        (mount / "documents").symlink_to(".filesystem-0")
        page.wait_for("/readyz", 200)
        yield page


def test_the_sealed_texts_become_summaries(page: Page) -> None:
    body = page.json("/api/summaries")
    assert (body["state"], body["engine"], body["model"]["name"]) == ("Ready", "ctranslate2", "bart-demo")
    assert [summary["document"] for summary in body["summaries"]] == [f"Document {n}" for n in range(1, 6)]
    for summary, path in zip(body["summaries"], sorted(DOCUMENTS.glob("*.txt")), strict=True):
        text = path.read_text(encoding="utf-8")
        assert summary["sourceWords"] == len(text.split())
        assert 20 <= summary["words"] <= 120
        # Names are copied, sentences are not.
        assert " ".join(summary["summary"].split()[:2]) in text
        assert not set(sentences(summary["summary"])) & {one for part in paragraphs(text) for one in sentences(part)}
        assert summary["guard"]["verdict"] == "Passed"


def test_the_page_itself_and_streamlits_health_are_served_on_the_same_port(page: Page) -> None:
    status, body = page.get("/", Authorization=f"Bearer {TOKEN}")
    assert status == 200
    assert "<title>Streamlit</title>" in body
    assert page.get("/_stcore/health") == (200, "ok")


def test_in_plain_text_nothing_is_served(page: Page) -> None:
    assert Page(page.url.replace("https://", "http://"), page.log, page.process).get("/healthz") == (0, "")


def test_without_the_token_neither_page_nor_summaries_are_shown(page: Page) -> None:
    assert page.get("/api/summaries")[0] == 401
    assert "Access token" in page.get("/")[1]


def test_a_program_asks_for_another_model_and_length_and_waits(page: Page) -> None:
    offered = page.json("/api/models")
    assert [(model["name"], model["default"]) for model in offered["models"]] == [
        ("bart-demo", True),
        ("t5-demo", False),
    ]
    answer = page.json("/api/summarize", "POST", {"documents": [2], "models": ["t5-demo"], "length": "short"})
    assert answer["job"]["state"] == "Finished"
    [summary] = answer["summaries"]
    assert (summary["number"], summary["model"], summary["length"]) == (2, "t5-demo", "short")
    assert 0 < summary["words"] <= 36
    kept = page.json("/api/summaries?model=t5-demo&length=short&document=2")["summaries"]
    assert kept == [summary]
    assert page.get("/metrics")[1].count("summarizer_summaries_total{") == 3


def test_summaries_can_be_kept_as_files_and_only_by_readers(page: Page) -> None:
    for kind in ("md", "csv"):
        status, body = page.get(f"/api/summaries?format={kind}", Authorization=f"Bearer {TOKEN}")
        assert (status, "Document 1" in body) == (200, True)
        assert page.get(f"/api/summaries?format={kind}")[0] == 401


def test_evidence_without_an_authority_says_what_to_set(page: Page) -> None:
    status, body = page.get("/api/evidence?nonce=" + "a" * 43)
    assert (status, "SUMMARIZER_MAA" in body) == (404, True)


async def test_a_browser_signs_in_and_keeps_its_web_socket_through_the_channel_of_csum_open(page: Page) -> None:
    async def prove() -> tuple[str, Verdict]:
        host, port = page.url.removeprefix("https://").split(":")
        _, writer = await asyncio.open_connection(host, int(port), ssl=unverified_tls())
        peer = peer_of(writer.transport)
        writer.close()
        return peer, Verdict((), Token({}, {}, ""))

    async with Channel(page.url, Peers(prove, lambda _: True)) as channel:
        door = Door(0)
        runner = web.AppRunner(local_end(channel, door), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        door.port = runner.addresses[0][1]
        url = f"http://127.0.0.1:{door.port}"
        headers = {"Host": door.host, "Origin": f"http://{door.host}", "Sec-Fetch-Site": "same-origin"}
        async with aiohttp.ClientSession(headers=headers, cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
            async with browser.get(url + "/?" + door.link.partition("/?")[2]) as answer:
                assert "Access token" in await answer.text()
            async with browser.post(f"{url}/login", data={"token": TOKEN}) as answer:
                assert "<title>Streamlit</title>" in await answer.text()
            async with browser.ws_connect(f"{url}/_stcore/stream", protocols=["streamlit"]) as socket:
                with pytest.raises(TimeoutError):
                    await socket.receive(timeout=1)
                assert (socket.protocol, socket.closed) == ("streamlit", False)
        await runner.cleanup()


def test_every_log_line_is_json_and_none_holds_text_summary_name_or_token(page: Page) -> None:
    page.get(f"/?token={TOKEN}")  # no way in, and yet no line of a log
    log = page.log.read_text()
    assert [json.loads(line)["state"] for line in log.splitlines() if '"message": "state"' in line][-1] == "Ready"
    for line in log.splitlines():
        json.loads(line)
    assert TOKEN not in log
    for path in DOCUMENTS.glob("*.txt"):
        assert path.stem not in log
        for part in paragraphs(path.read_text(encoding="utf-8")):
            # The number of a paragraph is a sentence too, and stands in many a line.
            assert not any(sentence in log for sentence in sentences(part) if len(sentence.split()) > 1)


def test_a_wrong_configuration_ends_the_process_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, tmp_path / "documents", SUMMARIZER_PROFILE="Relaxed") as page:
        assert page.process.wait(timeout=PATIENCE_SECONDS) == 3
        assert "SUMMARIZER_PROFILE is not valid" in json.loads(page.log.read_text())["reason"]


def test_documents_that_never_come_are_a_failure_with_a_reason(tmp_path: Path) -> None:
    with serving(tmp_path, tmp_path / "documents", SUMMARIZER_DEADLINE="1") as page:
        page.wait_for("/healthz", 200)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (status := page.json("/api/status"))["state"] != "Failed":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert "did not appear within 1 s" in status["reason"]
        assert page.get("/readyz")[0] == 503
