"""Whoever reaches the page's port, with a token or without one, wants the guest's memory, or to keep others out."""

import asyncio
import http.client
import socket
import ssl
import struct
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from summarizer import listener
from summarizer.peers import SIGN_IN
from tests.support.page import DOCUMENTS, OPENER, TOKEN, Page, serving
from tests.support.tls import unverified_tls

AUTHORIZATION = f"Bearer {TOKEN}"
# Far above what one reader's browser holds, far below what a process may.
MANY = 600
SECONDS = 10.0


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("page")
    documents = folder / "documents"
    documents.mkdir()
    (documents / "one.txt").write_bytes(min(DOCUMENTS.glob("*.txt")).read_bytes())
    with serving(folder, documents) as served:
        served.wait_for("/readyz", 200)
        yield served


def connect(page: Page, address: str = "127.0.0.1") -> ssl.SSLSocket:
    """Open a TLS connection from an address of this machine."""
    parts = urllib.parse.urlsplit(page.url)
    connection = socket.create_connection((parts.hostname, parts.port), SECONDS, (address, 0))
    try:
        return unverified_tls().wrap_socket(connection)
    except OSError:
        connection.close()
        raise


def ended(connection: socket.socket) -> bool:
    """Tell whether the other side ends a connection, without a word, while this test is patient."""
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def websocket(page: Page, **headers: str) -> tuple[str, ssl.SSLSocket]:
    """Ask for the page's web socket; return the status line and the connection."""
    connection = connect(page)
    asked = {
        "Host": urllib.parse.urlsplit(page.url).netloc,
        "Authorization": AUTHORIZATION,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    } | headers
    lines = ["GET /_stcore/stream HTTP/1.1", *(f"{name}: {value}" for name, value in asked.items())]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    return head.decode().splitlines()[0], connection


def received(connection: ssl.SSLSocket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        data += connection.recv(length - len(data))
    return data


def session_of(connection: ssl.SSLSocket) -> str:
    """Run the page's script over a web socket, and return what streamlit calls the session."""
    message = BackMsg()
    message.rerun_script.query_string = ""
    data = message.SerializeToString()
    connection.sendall(bytes([0x82, 0x80 | len(data)]) + bytes(4) + data)
    while True:
        length = received(connection, 2)[1]
        if length == 126:
            (length,) = struct.unpack(">H", received(connection, 2))
        elif length == 127:
            (length,) = struct.unpack(">Q", received(connection, 8))
        answer = ForwardMsg.FromString(received(connection, length))
        if answer.WhichOneof("type") == "new_session":
            return answer.new_session.initialize.session_id


@pytest.mark.slow
def test_one_peer_that_holds_every_connection_it_gets_keeps_nobody_else_out(page: Page) -> None:
    with ExitStack() as held:
        got = 0
        for _ in range(MANY):
            try:
                connection = held.enter_context(connect(page))
                connection.sendall(b"G")
            except OSError:
                break
            got += 1
        assert 100 < got < MANY
        other = held.enter_context(connect(page, "127.0.0.2"))
        other.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert other.recv(15) == b"HTTP/1.1 200 OK"
    page.wait_for("/healthz", 200)


def test_many_peers_together_get_no_more_connections_than_the_group_has_files_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "_CONNECTIONS", 8)
    with listener.Listener("127.0.0.1", 0) as listening, ExitStack() as held:
        listening.listen()
        listening.settimeout(1)
        peers = []
        for number in range(1, 13):
            peer = held.enter_context(socket.socket())
            peer.bind((f"127.0.0.{number}", 0))
            peer.connect(listening.getsockname())
            peer.settimeout(0.1)
            peers.append(peer)
        accepted = [held.enter_context(listening.accept()[0]) for _ in range(8)]
        with pytest.raises(TimeoutError):
            listening.accept()
        assert [ended(peer) for peer in peers] == [False] * 8 + [True] * 4
        accepted[0].close()
        late = held.enter_context(socket.create_connection(listening.getsockname()))
        assert listening.accept()[1] == late.getsockname()


@pytest.mark.slow
def test_a_question_that_never_ends_is_given_up_however_it_is_dragged_out(page: Page) -> None:
    """A byte now and then, a second question after the first was answered, and nothing at all."""
    health = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    connections = [connect(page) for _ in range(3)]
    for connection, beginning in zip(connections, (b"GET / HTTP/1.1\r\nX: a", health + b"G", b""), strict=True):
        connection.sendall(beginning)
    assert received(connections[1], 15) == b"HTTP/1.1 200 OK"
    lasted = asyncio.run(_drag_out(connections))
    assert max(lasted) < 30


async def _drag_out(connections: list[ssl.SSLSocket]) -> list[float]:
    async def drag(connection: ssl.SSLSocket) -> float:
        loop, begun = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        connection.settimeout(1.0)
        while loop.time() - begun < 40:
            try:
                if connection is not connections[2]:
                    await asyncio.to_thread(connection.sendall, b"a")
                if await asyncio.to_thread(connection.recv, 4096) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        connection.close()
        return loop.time() - begun

    return await asyncio.gather(*(drag(connection) for connection in connections))


def test_a_web_socket_takes_no_message_that_is_larger_than_what_people_type(page: Page) -> None:
    """Streamlit takes 200 MB of each, and holds what came of it for as long as the reader likes."""
    status, connection = websocket(page)
    assert status.startswith("HTTP/1.1 101")
    with connection:
        connection.sendall(bytes([0x82, 0xFF]) + struct.pack(">Q", 100 * 1024 * 1024) + bytes(4))
        try:
            closing = received(connection, 4)
            assert closing[2:] == struct.pack(">H", 1009)
        except (ConnectionError, ssl.SSLError):
            pass  # ended before the reason could be read


def test_nobody_is_another_peer_by_saying_so(page: Page) -> None:
    """What runs beside the page has the loopback's address, which uvicorn takes for a proxy's by default."""
    said = [
        page.send("POST", "/login", {}, **{"X-Forwarded-For": f"10.0.0.{number}"})[0]
        for number in range(SIGN_IN.a_minute + 1)
    ]
    assert said[-2:] == [403, 429]


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_another_sites_web_socket_is_refused(page: Page, origin: str) -> None:
    status, connection = websocket(page, Origin=origin)
    connection.close()
    assert status.startswith("HTTP/1.1 403")


def test_a_reader_leaves_no_files_in_the_groups_memory(page: Page) -> None:
    """The page asks for none, but streamlit keeps as many as one likes for each session."""
    status, connection = websocket(page)
    assert status.startswith("HTTP/1.1 101")
    with connection:
        session = session_of(connection)
        health = urllib.request.Request(f"{page.url}/_stcore/health")
        with OPENER.open(health, timeout=SECONDS) as answer:
            cookie = answer.headers["Set-Cookie"].partition(";")[0]
        body = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n' + bytes(1000) + b"\r\n--b--\r\n"
        headers = {
            "Authorization": AUTHORIZATION,
            "Content-Type": "multipart/form-data; boundary=b",
            "Cookie": cookie,
            "X-Xsrftoken": cookie.partition("=")[2],
        }
        http_connection = http.client.HTTPSConnection(
            urllib.parse.urlsplit(page.url).netloc, context=unverified_tls(), timeout=SECONDS
        )
        http_connection.request("PUT", f"/_stcore/upload_file/{session}/one", body, headers)
        assert http_connection.getresponse().status == 404
        http_connection.close()


HOST = b"Host: 127.0.0.1\r\n"
SECOND = b"GET /api/status HTTP/1.1\r\n" + HOST + b"\r\n"


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        (b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 200_000 + b"\r\n\r\n", [b"400"]),
        (b"POST /healthz HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", [b"400"]),
        (b"POST /healthz HTTP/1.1\r\n" + HOST + b"Content-Length : 4\r\n\r\nabcd", [b"400"]),
        (b"POST /healthz HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SECOND, [b"400"]),
        (b"GET /api/status HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n", [b"400"]),
        (b"GET /api/summaries HTTP/1.1\r\n" + HOST + b"X: a\r\n Authorization: " + AUTHORIZATION.encode() + b"\r\n\r\n",
         [b"401"]),
        (b"GET /healthz/../api/summaries HTTP/1.1\r\n" + HOST + b"\r\n", [b"303"]),
        (b"GET /%61pi/summaries HTTP/1.1\r\n" + HOST + b"\r\n", [b"401"]),
        (b"GET /api/status/..;/summaries HTTP/1.1\r\n" + HOST + b"\r\n", [b"401"]),
        (b"GET /api/summaries HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", [b"401"]),
    ],
    ids=[
        "a huge header",
        "two lengths",
        "a blank before the colon",
        "an encoding that is nearly chunked",
        "two hosts",
        "a token behind a fold",
        "a path that goes up",
        "an encoded path",
        "a path with parameters",
        "another protocol",
    ],
)  # fmt: skip
def test_no_question_that_can_be_read_in_two_ways_passes_the_token(
    page: Page, question: bytes, answers: list[bytes]
) -> None:
    with connect(page) as connection:
        said, cut = b"", False
        try:
            connection.sendall(question)
        except OSError:
            cut = True  # the page hung up before it had heard all of it
        try:
            while piece := connection.recv(65536):
                said += piece
                connection.settimeout(0.3)
        except OSError:
            pass
    found = [line.split()[1] for line in said.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    assert found == answers or (cut and not found)
