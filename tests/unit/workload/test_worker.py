import json
import logging
import shutil
from pathlib import Path

import pytest

from summarizer import worker as worker_module
from summarizer.manifest import write_manifest
from summarizer.progress import Progress, State
from summarizer.settings import Settings
from summarizer.worker import Worker

SECRET = "The secret merger closes on Friday."


@pytest.fixture
def model(tmp_path: Path, monkeypatch, lead_engine) -> Path:
    """A model directory whose engine is the plain one of the tests."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "MODEL.md").write_text("---\nname: lead\nnotice: It copies.\n---\n")
    write_manifest(path)
    monkeypatch.setattr(worker_module, "load_engine", lambda choice, directory: lead_engine)
    return path


class Clock:
    """Sleeps by stepping through what happens outside, one event a poll."""

    def __init__(self, progress: Progress, *events) -> None:
        self.progress, self.events, self.seen = progress, list(events), []

    def __call__(self, seconds: float) -> None:
        self.seen.append(self.progress.snapshot.state)
        if self.events:
            self.events.pop(0)()


def run(settings: Settings, *events) -> tuple[Progress, Clock]:
    progress = Progress()
    clock = Clock(progress, *events)
    Worker(settings, progress, sleep=clock).run()
    return progress, clock


def mount(path: Path, text: str = SECRET):
    def event() -> None:
        hidden = path.parent / ".filesystem-0"
        hidden.mkdir()
        (hidden / "merger.txt").write_text(text)
        path.symlink_to(hidden.name)

    return event


def test_it_waits_for_the_key_and_then_summarizes(settings, model) -> None:
    progress, clock = run(settings, lambda: None, mount(settings.documents))
    snapshot = progress.snapshot
    assert clock.seen == [State.WAITING_FOR_KEY, State.WAITING_FOR_KEY]
    assert snapshot.state is State.READY
    assert [(done.document, done.guarded.summary) for done in snapshot.summaries] == [("Document 1", SECRET)]
    assert (snapshot.engine, snapshot.model.name, snapshot.model.notice) == ("lead", "lead", "It copies.")


def test_past_the_deadline_it_has_failed_but_still_mends_itself(settings, model) -> None:
    settings = settings.model_copy(update={"deadline": 1})
    progress, clock = run(settings, lambda: None, lambda: None, mount(settings.documents))
    assert clock.seen == [State.WAITING_FOR_KEY, State.WAITING_FOR_KEY, State.FAILED]
    assert progress.snapshot.state is State.READY


def test_the_model_may_come_from_a_late_file_system_too(settings, model) -> None:
    kept = model.rename(model.parent / "kept")
    settings.documents.mkdir()
    (settings.documents / "a.txt").write_text(SECRET)
    progress, clock = run(settings, lambda: kept.rename(model))
    assert clock.seen == [State.WAITING_FOR_MODEL]
    assert progress.snapshot.state is State.READY


def test_a_tampered_model_is_never_loaded(settings, model) -> None:
    (model / "MODEL.md").write_text("---\nname: other\n---\n")
    progress, _ = run(settings)
    assert progress.snapshot.state is State.FAILED
    assert "MODEL.md" in progress.snapshot.reason
    assert progress.snapshot.engine == ""


def test_names_are_shown_only_when_the_settings_say_so(settings, model) -> None:
    mount(settings.documents)()
    progress, _ = run(settings.model_copy(update={"show_names": True}))
    assert progress.snapshot.summaries[0].document == "merger.txt"


def test_the_guard_of_the_settings_beats_the_card(settings, model) -> None:
    mount(settings.documents)()
    progress, _ = run(settings.model_copy(update={"guard": "withhold", "guard_run": 5}))
    assert progress.snapshot.summaries[0].guarded.summary == ""
    assert progress.snapshot.summaries[0].guarded.verdict == "Withheld"


def test_an_unforeseen_error_shows_its_type_and_no_text(settings, model, lead_engine, monkeypatch) -> None:
    def fail(texts, max_words):
        raise RuntimeError(f"cannot encode {texts}")

    monkeypatch.setattr(lead_engine, "summarize", fail)
    mount(settings.documents)()
    progress, _ = run(settings)
    assert progress.snapshot.state is State.FAILED
    assert "RuntimeError" in progress.snapshot.reason
    assert "secret" not in progress.snapshot.reason


def test_logs_hold_neither_text_nor_summary_nor_name(settings, model, caplog) -> None:
    mount(settings.documents)()
    with caplog.at_level(logging.DEBUG):
        run(settings)
    logged = " ".join(str(vars(record)) for record in caplog.records)
    assert "summarized" in logged
    assert "merger" not in logged


def test_two_runs_give_the_same_summaries(settings, model) -> None:
    shutil.copytree(Path(__file__).parents[3] / "examples" / "documents", settings.documents)
    first, _ = run(settings)
    second, _ = run(settings)
    assert first.snapshot.summaries == second.snapshot.summaries
    assert len(first.snapshot.summaries) == 3


def test_the_output_file_system_gets_the_summaries_before_it_is_ready(settings, model, tmp_path) -> None:
    output = tmp_path / "output"
    mount(settings.documents)()
    _, clock = run(settings.model_copy(update={"output": output}), output.mkdir)
    assert clock.seen == [State.SUMMARIZING]
    written = json.loads((output / "summaries.json").read_text())
    assert written["state"] == "Ready"
    assert written["summaries"][0]["summary"] == SECRET
    assert [path.name for path in output.iterdir()] == ["summaries.json"]


def test_an_output_that_cannot_be_written_is_a_failure(settings, model, tmp_path) -> None:
    output = tmp_path / "output"
    # A folder where the file belongs: refused even for root, unlike missing permissions.
    (output / "summaries.json" / "occupied").mkdir(parents=True)
    mount(settings.documents)()
    progress, _ = run(settings.model_copy(update={"output": output}))
    assert progress.snapshot.state is State.FAILED
    assert str(output) in progress.snapshot.reason
