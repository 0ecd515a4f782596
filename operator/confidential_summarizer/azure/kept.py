"""Clients that are opened once and kept, as one costs more than a call."""

from collections.abc import Callable
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar


class Closable(Protocol):
    """What is closed when the operator stops."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""


C = TypeVar("C", bound=Closable)


class Kept(Generic[C]):
    """The clients of one kind by name, where cases do not matter. Use as an async context manager."""

    def __init__(self, open_one: Callable[[str], C]) -> None:
        self._open = open_one
        self._clients: dict[str, C] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for client in self._clients.values():
            await client.__aexit__(kind, error, traceback)

    def __call__(self, name: str) -> C:
        """Return the client of a name; what opening it raises is raised."""
        key = name.lower()
        if key not in self._clients:
            self._clients[key] = self._open(name)
        return self._clients[key]
