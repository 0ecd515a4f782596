import pytest

from confidential_summarizer.azure.blob_url import BlobURL
from confidential_summarizer.errors import SpecError


def test_a_url_has_an_account_a_container_and_a_blob() -> None:
    url = BlobURL.parse("https://party2.blob.core.windows.net/sealed/2024/my%20contracts.img")

    assert (url.account, url.container, url.blob, url.sas) == ("party2", "sealed", "2024/my contracts.img", None)
    assert str(url) == "https://party2.blob.core.windows.net/sealed/2024/my%20contracts.img"


def test_a_sas_is_kept_apart_and_never_shown() -> None:
    url = BlobURL.parse("https://abc.blob.core.windows.net/c-1/b?sv=2024&sig=PLANTED%3D")

    assert url.sas == "sv=2024&sig=PLANTED%3D"
    assert "PLANTED" not in f"{url} {url!r}"


@pytest.mark.parametrize(
    "text",
    [
        "http://abc.blob.core.windows.net/ccc/b",
        "https://abc.blob.core.windows.net/ccc",
        "https://abc.blob.core.windows.net/UP/b",
        "https://abc.blob.core.windows.net/ccc/b?comp=page",
        "party2/ccc/b",
        "https://evil.example/ccc/b",
        "https://abc.blob.core.windows.net.evil.example/ccc/b",
        "https://abc.blob.core.windows.net@evil.example/ccc/b",
        "https://abc.blob.core.windows.net/ccc/../ddd/b",
        "https://abc.blob.core.windows.net/ccc/%2e%2e/ddd/b",
        "https://abc.blob.core.windows.net/ccc/a./b",
    ],
)
def test_what_is_no_blob_url_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        BlobURL.parse(text)


def test_a_refusal_never_shows_the_query() -> None:
    with pytest.raises(SpecError) as caught:
        BlobURL.parse("http://abc.blob.core.windows.net/ccc/b?sig=PLANTED")
    assert "PLANTED" not in str(caught.value)
