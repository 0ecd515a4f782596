"""`csum push` and its relatives before they speak to storage."""

from types import TracebackType
from typing import Self

import pytest

from confidential_summarizer.azure.blob_url import BlobURL
from confidential_summarizer.cli import push
from tests.support.data_owner import csum

BLOB = "https://party2.blob.core.windows.net/sealed/contracts.img"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The SAS of each blob that was asked for; there is none of them."""
    found: list[str | None] = []

    class Blob:
        def __init__(self, url: BlobURL, _credential: object) -> None:
            found.append(url.sas)
            self.url = BLOB

        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(
            self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
        ) -> None:
            pass

        async def state(self) -> None:
            return None

        async def other_states(self) -> list[object]:
            return []

    monkeypatch.setattr(push, "SealedBlob", Blob)
    monkeypatch.delenv(push.ACCOUNT_KEY_VARIABLE, raising=False)
    return found


def test_a_sas_comes_from_the_environment_where_no_other_user_reads_it(
    asked: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(push.SAS_VARIABLE, "?sv=1&sig=planted")

    result = csum("purge", BLOB, "--yes")

    assert (result.code, asked) == (4, ["sv=1&sig=planted"])
    assert "planted" not in result.err


def test_a_sas_on_the_command_line_is_used_and_warned_of(asked: list[str | None]) -> None:
    result = csum("purge", f"{BLOB}?sv=1&sig=planted", "--yes")

    assert asked == ["sv=1&sig=planted"]
    assert "Put it into $AZURE_STORAGE_SAS_TOKEN instead" in result.err
    assert "planted" not in result.err
