"""Write blobs with the group's managed identity: three REST calls, so that no SDK comes into the measured image.

Sources: Azure's instance metadata service (IMDS), token endpoint of version 2018-02-01; Azure Storage's Put Blob and
List Blobs.
"""

import html
import http.client
import json
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cached_property
from typing import Any, Final

from summarizer.errors import OutputError

METADATA: Final = "http://169.254.169.254/metadata"
_TOKEN_VERSION: Final = "2018-02-01"  # noqa: S105  an API version
_AUDIENCE: Final = "https://storage.azure.com/"
# The first version that takes managed identities is 2017-11-09; this one every account and emulator knows.
_BLOB_VERSION: Final = "2021-12-02"
_TIMEOUT_SECONDS: Final = 60
# A token has a few KiB.
_MAX_ANSWER: Final = 64 * 1024
# IMDS hands the same token out for hours; one that is about to end could end on the way.
_RENEW_SECONDS: Final = 300
# A page of List Blobs has 5,000 blobs, of about 700 bytes each.
_MAX_LISTING: Final = 16 * 1024 * 1024
_NAME: Final = re.compile(r"<Name>([^<]*)</Name>")
_NEXT: Final = re.compile(r"<NextMarker>([^<]+)</NextMarker>")
_ERROR_CODE: Final = re.compile(r"[A-Za-z]{1,64}")
_ADVICE: Final = {
    403: "give the group's identity the role Storage Blob Data Contributor on the container",
    404: "make the container",
}


class _BlobExists(Exception):
    """The blob is there, and stays as it is."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Makes an error of a redirect: the library would take the token along, to whatever host it names."""

    def redirect_request(self, *_: object) -> None:
        """Follow none."""


@dataclass
class BlobPrefix:
    """Where blobs are written.

    Attributes:
        url: https URL of the prefix, with a slash at its end.
        client_id: Which identity, where the group has several.
        metadata: URL of the metadata service.
        once: Leave a blob that is there as it is, rather than write over it.
        clock: Seconds since the epoch.
    """

    url: str
    client_id: str | None = None
    metadata: str = METADATA
    once: bool = False
    clock: Callable[[], float] = time.time
    _token: str = field(default="", repr=False)
    _renew_at: float = 0.0

    def put(self, name: str, data: bytes) -> None:
        """Write a block blob whole.

        Args:
            name: Below the prefix; letters, digits, dots and hyphens only.
            data: The content.

        Raises:
            OutputError: The identity gets no token, or storage refused or did not answer.
        """
        headers = {"Content-Type": "application/octet-stream", "x-ms-blob-type": "BlockBlob"}
        if self.once:
            headers["If-None-Match"] = "*"
        try:
            self._ask(f"{self.url}{name}", headers, data)
        except _BlobExists:
            return

    def names(self) -> frozenset[str]:
        """Return the names of all blobs right below the prefix.

        Raises:
            OutputError: As `put`.
        """
        scheme, _, host, container, prefix = self.url.split("/", 4)
        query = {"restype": "container", "comp": "list", "prefix": prefix}
        found: set[str] = set()
        while True:
            page = self._ask(f"{scheme}//{host}/{container}?{urllib.parse.urlencode(query)}", {}).decode()
            found.update(html.unescape(name).removeprefix(prefix) for name in _NAME.findall(page))
            more = _NEXT.search(page)
            if more is None:
                return frozenset(found)
            query["marker"] = html.unescape(more[1])

    def _ask(self, url: str, headers: Mapping[str, str], data: bytes | None = None) -> bytes:
        sent = {
            **headers,
            "Authorization": f"Bearer {self._bearer()}",
            "x-ms-date": formatdate(self.clock(), usegmt=True),
            "x-ms-version": _BLOB_VERSION,
        }
        request = urllib.request.Request(url, data, sent, method="GET" if data is None else "PUT")  # noqa: S310  https only
        try:
            with self._opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
                answer: bytes = response.read(_MAX_LISTING)
                return answer
        except urllib.error.HTTPError as error:
            code = error.headers.get("x-ms-error-code", "")
            if error.code in (409, 412) and "If-None-Match" in headers:
                raise _BlobExists from None
            word = f" {code}" if _ERROR_CODE.fullmatch(code) else ""
            advice = _ADVICE.get(error.code, "look at the storage account")
            if error.code == 401:
                self._renew_at = 0.0
            raise OutputError(f"storage answered {error.code}{word}: {advice}") from None
        except (OSError, http.client.HTTPException) as error:
            raise OutputError(f"storage does not answer ({type(error).__name__}): look at network and URL") from None

    @cached_property
    def _opener(self) -> urllib.request.OpenerDirector:
        # Once for all requests: to read the authorities takes longer than a request and most documents.
        tls = urllib.request.HTTPSHandler(context=ssl.create_default_context())
        return urllib.request.build_opener(tls, _NoRedirects)

    def _bearer(self) -> str:
        if self.clock() < self._renew_at:
            return self._token
        query = {"api-version": _TOKEN_VERSION, "resource": _AUDIENCE}
        if self.client_id is not None:
            query["client_id"] = self.client_id
        url = f"{self.metadata}/identity/oauth2/token?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(url, headers={"Metadata": "true"})  # noqa: S310  the host's own address
        # No proxy: the metadata service answers on the machine itself.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
                answer: Any = json.loads(response.read(_MAX_ANSWER))
            self._token = str(answer["access_token"])
            self._renew_at = self.clock() + int(answer["expires_in"]) - _RENEW_SECONDS
        except urllib.error.HTTPError as error:
            raise OutputError(
                f"the metadata service gives no token for storage ({error.code}): the group needs its managed "
                "identity, and identity.clientID where it has several"
            ) from None
        except (OSError, ValueError, KeyError, TypeError):
            raise OutputError("the metadata service gives no token for storage: does the group have one?") from None
        return self._token
