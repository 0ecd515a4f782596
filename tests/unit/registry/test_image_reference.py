import pytest

from confidential_summarizer.errors import ImageError
from confidential_summarizer.registry import ImageReference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("redis", "docker.io/library/redis:latest"),
        ("redis:7.2", "docker.io/library/redis:7.2"),
        ("bitnami/redis", "docker.io/bitnami/redis:latest"),
        ("party1.azurecr.io/app", "party1.azurecr.io/app:latest"),
        ("localhost/app:1", "localhost/app:1"),
        ("localhost:5000/a/b/c:1.0", "localhost:5000/a/b/c:1.0"),
        (f"x.io/a@{DIGEST}", f"x.io/a@{DIGEST}"),
        (f"x.io/a:1@{DIGEST}", f"x.io/a:1@{DIGEST}"),
        ("[::1]:5000/a", "[::1]:5000/a:latest"),
    ],
)
def test_a_reference_gets_its_defaults(text: str, full: str) -> None:
    assert str(ImageReference.parse(text)) == full


@pytest.mark.parametrize(
    "text",
    ["", "UPPER/case", "a b", "x.io/", "x.io/a:", "x.io/a:-bad", "x.io/a@sha256:short", "x.io/a@md5:" + "a" * 32,
     "x.io/../a", "x.io/a//b", "http://x.io/a", "a" * 300],
)  # fmt: skip
def test_what_is_no_reference_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ImageError, match="image reference"):
        ImageReference.parse(text)


def test_pinning_drops_the_tag() -> None:
    reference = ImageReference.parse("x.io/a:1").at(DIGEST)
    assert (str(reference), reference.pinned) == (f"x.io/a@{DIGEST}", True)
