"""Download of the sealed image from the blob service, in ranges (REST version 2020-10-02)."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from attested_release.errors import ReleaseError, Unreachable
from attested_release.http import Refused, request
from attested_release.identity import Identity

SERVICE_VERSION = "2020-10-02"
RANGE = 4 << 20
"""Bytes for each request; the real sidecar reads blocks of 512 KiB as they are needed."""

WAIT_SECONDS = 60.0
"""How long the real sidecar waits for the image to appear."""

RETRY_SECONDS = 3.0

PAGE_BLOB = "PageBlob"
"""The only kind that azmount can write to."""

T = TypeVar("T")

CAUSES = {
    401: "the blob service does not take the identity's token",
    403: "the identity lacks the role Storage Blob Data Reader, or the blob is not public",
    404: "there is no such blob: check account, container and name",
    409: "the account does not allow public access",
}


class Blob:
    """One sealed image in the blob service.

    Args:
        url: Where it is; may hold a shared access signature.
        shown_url: The same without secrets, for messages.
        identity: Whose token the requests carry; None reads anonymously.
        sleep: Waits between tries.
    """

    def __init__(
        self, url: str, shown_url: str, identity: Identity | None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.url = url
        self.shown_url = shown_url
        self.identity = identity
        self._sleep = sleep
        self._deadline = time.monotonic() + WAIT_SECONDS

    def download(self, path: Path) -> str:
        """Write the blob into a new file and return its kind.

        Raises:
            ReleaseError: It is not there or not handed out, or did not arrive in time.
        """
        headers = {"x-ms-version": SERVICE_VERSION}
        if self.identity is not None:
            identity, audience = self.identity, f"https://{urlsplit(self.url).netloc}"
            headers["Authorization"] = f"Bearer {self._persist(lambda: identity.token(audience))}"
        answer = self._persist(lambda: request("the blob service", "HEAD", self.url, headers=headers))
        size = int(answer.headers.get("Content-Length", 0))
        with path.open("xb") as file:
            for first, last in _ranges(size):
                part = self._range(headers, first, last)
                if len(part) != last - first + 1:
                    raise ReleaseError(f"{self.shown_url}: the blob service sent {len(part)} bytes for a range")
                file.write(part)
        return answer.headers.get("x-ms-blob-type", "")

    def _range(self, headers: dict[str, str], first: int, last: int) -> bytes:
        wanted = {**headers, "Range": f"bytes={first}-{last}"}
        return self._persist(
            lambda: request("the blob service", "GET", self.url, headers=wanted, limit=last - first + 2)
        ).body

    def _persist(self, attempt: Callable[[], T]) -> T:
        """Try again while the service is busy and there is time; a refusal is final."""
        while True:
            try:
                return attempt()
            except Refused as refusal:
                cause = CAUSES.get(refusal.status, refusal.explanation)
                raise ReleaseError(f"{self.shown_url} cannot be read ({refusal.status}): {cause}") from None
            except Unreachable as error:
                if time.monotonic() + RETRY_SECONDS > self._deadline:
                    raise ReleaseError(
                        f"timed out while waiting for encrypted filesystem image {self.shown_url}: {error}"
                    ) from None
            self._sleep(RETRY_SECONDS)


def _ranges(size: int) -> Iterator[tuple[int, int]]:
    for first in range(0, size, RANGE):
        yield first, min(first + RANGE, size) - 1
