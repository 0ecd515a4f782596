"""Readers in a real browser, on the real server with both demo models."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from summarizer.text import paragraphs, sentences
from tests.support.browser import Reader, axe_source, reader
from tests.support.page import REPOSITORY, TOKEN, Page, serving

# Long enough for a reader to cancel what they asked for.
TEXTS = REPOSITORY / "tests" / "data" / "texts"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PLANTED = (
    "The secret merger of the two houses at the lake closes on a Friday in the autumn of the year and nobody outside of "
    "this small room has ever heard a single word of it or of its price, which is forty-one million."
)
MANY = 60


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("page")
    documents = folder / "documents"
    documents.mkdir()
    texts = [path.read_text(encoding="utf-8") for path in sorted(TEXTS.glob("*.txt"))]
    for number in range(MANY):
        parts = paragraphs(texts[number % len(texts)])
        turned = parts[number % len(parts) :] + parts[: number % len(parts)]
        (documents / f"{number:02}.txt").write_text("\n\n".join([*turned * 3, f"This is copy number {number}."]))
    (documents / "secret.txt").write_text(f"{texts[2]}\n\nThis opens the last part. {PLANTED}")
    (documents / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    with serving(folder, documents) as page:
        page.wait_for("/readyz", 200)
        yield page


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    return axe_source(tmp_path_factory.mktemp("axe"))


@pytest.fixture
def one(page: Page, tmp_path: Path) -> Iterator[Reader]:
    with reader(page.url, tmp_path) as one:
        yield one


@pytest.fixture
def signed_in(one: Reader) -> Reader:
    one.open()
    one.sign_in(TOKEN)
    one.sees("Ready.")
    return one


def test_a_wrong_token_is_told_and_the_right_one_leads_where_the_link_went(one: Reader) -> None:
    one.open("/?length=short&search=document+7")
    one.sign_in("wrong")
    one.sees("This is not the token of this summarizer.")
    assert one.driver.find_element(By.ID, "token").get_attribute("aria-invalid") == "true"
    one.sign_in(TOKEN)
    one.sees("Ready.")
    one.sees("Document 7\n")
    assert "Document 8\n" not in one.text()
    assert one.driver.find_element(By.XPATH, "//input[@type='radio'][@checked or @value='0']").is_selected()
    one.driver.find_element(By.LINK_TEXT, "Sign out").click()
    one.sees("You are signed out on this browser.")
    one.open()
    assert "Access token" in one.text()


def test_a_reader_chooses_model_and_length_summarizes_one_and_keeps_it(signed_in: Reader, page: Page) -> None:
    signed_in.choose("Model", "t5-demo")
    signed_in.pick("medium")
    signed_in.sees("Not summarized in this model and length.")
    assert "medium by t5-demo" not in signed_in.text()
    signed_in.press("Summarize")
    signed_in.sees("medium by t5-demo")
    assert "model=t5-demo" in signed_in.driver.current_url
    assert "length=medium" in signed_in.driver.current_url
    signed_in.press("csv")
    [row] = csv.DictReader(io.StringIO(signed_in.downloaded("summaries.csv").decode("utf-8-sig")))
    assert (row["model"], row["length"], row["document"]) == ("t5-demo", "medium", "Document 1")
    assert row["summary"] in page.json("/api/summaries?model=t5-demo")["summaries"][0]["summary"]
    signed_in.press("docx")
    with zipfile.ZipFile(io.BytesIO(signed_in.downloaded("summaries.docx"))) as archive:
        assert "Document 1" in archive.read("word/document.xml").decode()
    signed_in.press("md")
    assert signed_in.downloaded("summaries.md").startswith(b"# Confidential summaries\n")
    signed_in.press("json")
    assert json.loads(signed_in.downloaded("summaries.json"))["summaries"][0]["number"] == 1


def test_two_readers_share_what_is_made_and_one_cancels_what_they_asked_for(
    signed_in: Reader, page: Page, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    with reader(page.url, tmp_path / "other") as other:
        other.open("/?compare=t5-demo")
        other.sign_in(TOKEN)
        other.sees("Ready.")
        signed_in.choose("Compare with", "t5-demo")
        signed_in.wait(lambda: re.search(r"Summarize all \(\d+ missing\)", signed_in.text()))
        label = re.search(r"Summarize all \(\d+ missing\)", signed_in.text())
        assert label is not None
        signed_in.press(label.group())
        # They come one after the other, for both.
        signed_in.sees("long by t5-demo")
        signed_in.press("Cancel")
        other.driver.refresh()
        other.sees("long by t5-demo")
        signed_in.wait(lambda: "Cancel" not in signed_in.text())
        [job] = [job for job in page.json("/api/jobs")["jobs"] if job["state"] == "Cancelled"]
        assert 0 < job["done"] < job["summaries"]
        other.press(re.search(r"Summarize all \(\d+ missing\)", other.text()).group())  # type: ignore[union-attr]
        other.wait(lambda: "missing" not in other.text() and "Cancel" not in other.text(), "all of them")
    assert len(page.json("/api/summaries?model=t5-demo&length=long")["summaries"]) == MANY + 1


def test_all_of_it_can_be_done_with_the_keyboard(signed_in: Reader) -> None:
    reached: list[str] = []
    for _ in range(40):
        signed_in.driver.switch_to.active_element.send_keys(Keys.TAB)
        active = signed_in.driver.switch_to.active_element
        reached.append(active.get_attribute("aria-label") or active.text)
    named = " | ".join(reached)
    for part in (
        "Sign out",
        "Model",
        "Compare with",
        "Search",
        "Sort by",
        "md",
        "csv",
        "Copy the summary of Document 1",
    ):
        assert part in named, named


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 1200), ("light", 390), ("dark", 390)])
def test_axe_finds_nothing_serious(one: Reader, axe: str, scheme: str, width: int) -> None:
    one.prefer(scheme)
    one.resize(width)
    one.open()
    assert one.findings(axe) == []
    one.sign_in(TOKEN)
    one.sees("What is proved, and to whom")
    one.sees("Document 5\n")
    assert one.findings(axe) == []
    one.open("/?model=t5-demo&length=short")  # which nobody asks for in another test
    one.sees("Summarize all")
    assert one.findings(axe) == []
    background = one.driver.execute_script(
        "return getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
    )
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) > 380) == (scheme == "light")
    assert one.driver.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_the_browser_asks_no_other_host_and_shows_no_other_text(signed_in: Reader, page: Page) -> None:
    signed_in.open(f"/?search=Document+{MANY + 1}")
    signed_in.sees("cannot be read as what its name says it is")
    shown = signed_in.driver.page_source
    signed_in.open("/?compare=t5-demo")
    signed_in.press("json")
    kept = signed_in.downloaded("summaries.json").decode()
    assert signed_in.hosts() == {page.url.removeprefix("https://")}
    everywhere = shown + signed_in.driver.page_source + kept + page.log.read_text()
    for words in sentences(PLANTED):
        assert words not in everywhere
    assert "secret.txt" not in everywhere
