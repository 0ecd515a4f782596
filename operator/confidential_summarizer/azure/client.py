"""What every edge to a service of Azure is: a client of the SDK, closed with whatever stands around it."""

from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

SDK = TypeVar("SDK", bound=AbstractAsyncContextManager[Any, Any])


class Client(Generic[SDK]):
    """Stands around one client of the SDK. Use as an async context manager."""

    def __init__(self, client: SDK) -> None:
        self._client = client

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, traceback)
