import asyncio
import contextlib

import pytest

from azure_sandbox.faults import Faults
from azure_sandbox.network.proxy import ConnectProxy
from azure_sandbox.state import free_port


@contextlib.asynccontextmanager
async def echo():
    """A service that says what it hears, and ends when its client does."""

    async def serve(reader, writer):
        writer.write(await reader.read())
        writer.write_eof()
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@contextlib.asynccontextmanager
async def proxy(ports, faults=None):
    running, port = ConnectProxy(ports, faults or Faults()), free_port()
    await running.start(port)
    try:
        yield port
    finally:
        await running.stop()


async def talk(port, *parts):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
    writer.write_eof()
    try:
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()


async def test_a_connection_carries_bytes_both_ways_until_both_sides_have_ended():
    async with echo() as service, proxy({"stand_ins": service}) as port:
        said = await talk(port, b"CONNECT party1.azurecr.io:443 HTTP/1.1\r\nHost: x\r\n\r\n", b"hello" * 50_000)
    head, _, rest = said.partition(b"\r\n\r\n")
    assert head == b"HTTP/1.1 200 Connection established"
    assert rest == b"hello" * 50_000


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"CONNECT example.org:443 HTTP/1.1", b"502"),
        (b"CONNECT party1.azurecr.io:80 HTTP/1.1", b"502"),
        (b"CONNECT party1.azurecr.io HTTP/1.1", b"502"),
        (b"GET http://party1.azurecr.io/ HTTP/1.1", b"405"),
    ],
)
async def test_anything_but_a_name_of_the_sandbox_on_443_is_refused(request_line, status):
    async with proxy({"stand_ins": 1}) as port:
        said = await talk(port, request_line + b"\r\n\r\n")
    assert said.split(b" ")[1] == status


async def test_a_group_is_reached_at_its_own_address():
    async def serve(reader, writer):
        writer.write(b"group")
        writer.close()

    group = await asyncio.start_server(serve, "127.77.200.1", 0)
    async with group, proxy({}) as port:
        number = group.sockets[0].getsockname()[1]
        said = await talk(port, f"CONNECT 127.77.200.1:{number} HTTP/1.1\r\n\r\n".encode())
    assert said.endswith(b"\r\n\r\ngroup")


@pytest.mark.parametrize("authority", ["127.77.200.1:99999", "127.77.200.1:x", "127.78.0.1:8501", "[::1]:8501"])
async def test_no_other_address_is_reached(authority):
    async with proxy({}) as port:
        assert (await talk(port, f"CONNECT {authority} HTTP/1.1\r\n\r\n".encode())).startswith(b"HTTP/1.1 502")


async def test_stand_ins_that_do_not_run_are_named_in_the_answer():
    async with proxy({"stand_ins": free_port()}) as port:
        said = await talk(port, b"CONNECT party1.azurecr.io:443 HTTP/1.1\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 502")
    assert b"stand_ins is not running" in said


async def test_a_head_without_end_is_dropped():
    async with proxy({}) as port:
        assert await talk(port, b"x" * 100_000) == b""


@contextlib.asynccontextmanager
async def opened(port, authority):
    """A connection through the proxy that has carried a first word."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"CONNECT %s HTTP/1.1\r\n\r\n" % authority.encode())
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    yield reader, writer
    writer.close()


async def test_a_cut_ends_what_is_open_to_the_api_server_and_lets_new_connections_through():
    faults = Faults()
    async with echo() as service, proxy({"apiserver": service}, faults) as port:
        authority = f"127.0.0.1:{service}"
        async with opened(port, authority) as (reader, _):
            await asyncio.sleep(0.05)
            faults.add({"service": "kubernetes", "kind": "cut"})
            assert await asyncio.wait_for(reader.read(), 5) == b""
        said = await talk(port, b"CONNECT %s HTTP/1.1\r\n\r\n" % authority.encode(), b"hello")
    assert said.endswith(b"hello")
    assert faults.met == {"kubernetes cut": 1}


async def test_the_sandboxs_own_controls_are_there_while_everything_is_down():
    faults = Faults()
    for kind in ("down", "slow"):
        faults.add({"service": "resource-manager", "kind": kind, "seconds": 60})
    async with echo() as service, proxy({"stand_ins": service}, faults) as port:
        assert (await talk(port, b"CONNECT sandbox.management.azure.com:443 HTTP/1.1\r\n\r\n", b"hi")).endswith(b"hi")
        assert not (await talk(port, b"CONNECT management.azure.com:443 HTTP/1.1\r\n\r\n", b"hi")).endswith(b"hi")


async def test_what_is_down_is_cut_and_ends_new_connections_until_the_time_is_over():
    now = [0.0]
    faults = Faults(lambda: now[0])
    async with echo() as service, proxy({"stand_ins": service}, faults) as port:
        connect = b"CONNECT party1.azurecr.io:443 HTTP/1.1\r\n\r\n"
        async with opened(port, "party1.azurecr.io:443") as (reader, _):
            await asyncio.sleep(0.05)
            faults.add({"service": "registry", "kind": "down", "seconds": 60})
            assert await asyncio.wait_for(reader.read(), 5) == b""
        assert not (await talk(port, connect, b"hello")).endswith(b"hello")
        now[0] = 61.0
        assert (await talk(port, connect, b"hello")).endswith(b"hello")
