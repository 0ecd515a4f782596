"""`python -m tests.support.screenshots`: the pictures of the page in docs/, from the real page in a real browser."""

import tempfile
from pathlib import Path

from tests.support.browser import reader
from tests.support.page import DOCUMENTS, REPOSITORY, TOKEN, serving

PICTURES = REPOSITORY / "docs" / "images"
VIEWS = {"light": ("light", 1200, "/?compare=t5-demo"), "dark": ("dark", 1200, "/"), "phone": ("light", 390, "/")}


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serving(folder, DOCUMENTS, SUMMARIZER_SHOW_NAMES="true") as page:
            page.wait_for("/readyz", 200)
            page.json("/api/summarize", "POST", {"models": ["t5-demo"]})
            for view, (scheme, width, path) in VIEWS.items():
                (folder / view).mkdir()
                with reader(page.url, folder / view) as one:
                    one.prefer(scheme)
                    one.resize(width)
                    one.open(path)
                    one.sign_in(TOKEN)
                    one.sees("lease-tanner-street.txt")
                    one.screenshot(PICTURES / f"page-{view}.png", most=1500)


if __name__ == "__main__":
    main()
