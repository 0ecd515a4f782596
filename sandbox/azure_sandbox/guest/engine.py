"""The judge of one group: the guest agent's own policy engine, as a process that lives as long as the group."""

import asyncio
import base64
import contextlib
import json
import os
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel

from azure_sandbox.built_programs import built_program
from azure_sandbox.guest.api import Denied
from azure_sandbox.guest.plan import INVALID_POLICY
from confidential_summarizer.errors import TransientError
from confidential_summarizer.policy.document import Capabilities

LONGEST_ANSWER = 16 << 20
"""Bytes of a line: an answer repeats the variables that a process keeps, which Linux bounds by a few megabytes."""


class Decision(BaseModel):
    """What the engine says.

    Attributes:
        error: Why a request is refused, in the text by which the refusal reaches the outside.
        env: The variables that a process keeps.
        capabilities: The capabilities that it keeps.
        allow_stdio: Whether its output can be read from outside.
    """

    allowed: bool
    error: str = ""
    env: tuple[str, ...] | None = None
    capabilities: Capabilities | None = None
    allow_stdio: bool = False


class Engine:
    """Answers requests in the order in which they come; remembers what is mounted and started."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, policy: bytes) -> Self:
        """Start the engine on the text of a policy.

        Raises:
            Denied: The text is no policy, so the guest refuses everything.
            SpecError: The program is not built.
            TransientError: It ended early.
        """
        program = built_program("guestpolicy")
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            program, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, limit=LONGEST_ANSWER,
            env={"PATH": os.defpath},
        )  # fmt: skip
        engine = cls(process)
        try:
            opened = await engine._exchange(base64.b64encode(policy))
        except BaseException:
            await engine.close()
            raise
        if not opened.allowed:
            await engine.close()
            raise Denied(INVALID_POLICY)
        return engine

    async def ask(self, point: str, request: Mapping[str, Any]) -> Decision:
        """Put one request to an enforcement point, in the framework's names (hcsshim, pkg/securitypolicy/api.rego).

        Raises:
            TransientError: The engine has ended.
        """
        return await self._exchange(json.dumps({"point": point, "input": request}).encode())

    async def close(self) -> None:
        """End the process; harmless when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def _exchange(self, line: bytes) -> Decision:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None  # noqa: S101, PT018 - they are pipes
        async with self._turn:
            with contextlib.suppress(ConnectionError):  # no answer comes then, either
                stdin.write(line + b"\n")
                await stdin.drain()
            answer = await stdout.readline()
        if not answer:
            raise TransientError("the engine that judges the group's requests has ended; start the group again")
        return Decision.model_validate_json(answer)
