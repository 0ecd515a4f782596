"""From the start to Ready, and then whatever readers ask for."""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from confidential_summarizer.sealing import read_manifest
from summarizer import models as models_module
from summarizer.asking import ask
from summarizer.errors import OutputError
from summarizer.jobs import Jobs, JobState, Length, Request
from summarizer.manifest import write_manifest
from summarizer.progress import Progress, State
from summarizer.settings import DocumentSet, Settings
from summarizer.worker import Worker

SECRET = "The secret merger closes on Friday."
FIRST = Request(1, "lead", Length.LONG)


@pytest.fixture
def models(tmp_path: Path, monkeypatch, lead_engine) -> Path:
    """A folder of two models whose engine is the plain one of the tests."""
    for name in ("lead", "tail"):
        path = tmp_path / "models" / name
        path.mkdir(parents=True)
        (path / "MODEL.md").write_text(f"---\nname: The {name}\nnotice: It copies.\n---\n")
        write_manifest(path)
    monkeypatch.setattr(models_module, "load_engine", lambda choice, files: lead_engine)
    return tmp_path / "models"


class Clock:
    """Sleeps by stepping through what happens outside, one event a poll."""

    def __init__(self, progress: Progress, *events) -> None:
        self.progress, self.events, self.seen = progress, list(events), []

    def __call__(self, seconds: float) -> None:
        self.seen.append(self.progress.snapshot.state)
        if self.events:
            self.events.pop(0)()


@dataclass
class Run:
    progress: Progress
    jobs: Jobs
    clock: Clock
    worker: Worker

    @property
    def snapshot(self):
        return self.progress.snapshot

    @property
    def summaries(self) -> list[str]:
        return [result.guarded.summary for result in self.jobs.results.values()]


def run(settings: Settings, *events, results=None) -> Run:
    progress, jobs = Progress(), Jobs()
    clock = Clock(progress, *events)
    worker = Worker(settings, progress, jobs, results or {}, sleep=clock)
    worker.start()
    return Run(progress, jobs, clock, worker)


def mount(path: Path, text: str = SECRET):
    def event() -> None:
        hidden = path.parent / ".filesystem-0"
        hidden.mkdir()
        (hidden / "merger.txt").write_text(text)
        path.symlink_to(hidden.name)

    return event


def test_it_waits_for_the_key_and_then_summarizes(settings, models) -> None:
    done = run(settings, lambda: None, mount(settings.documents[0].directory))
    assert done.clock.seen == [State.WAITING_FOR_KEY, State.WAITING_FOR_KEY]
    assert done.snapshot.state is State.READY
    assert done.jobs.results[FIRST].guarded.summary == SECRET
    assert [document.label for document in done.snapshot.documents] == ["Document 1"]
    assert [(model.name, model.card.name, model.engine) for model in done.snapshot.models] == [
        ("lead", "The lead", "lead"),
        ("tail", "The tail", ""),
    ]


def test_past_the_deadline_it_has_failed_but_still_mends_itself(settings, models) -> None:
    settings = settings.model_copy(update={"deadline": 1})
    done = run(settings, lambda: None, lambda: None, mount(settings.documents[0].directory))
    assert done.clock.seen == [State.WAITING_FOR_KEY, State.WAITING_FOR_KEY, State.FAILED]
    assert done.snapshot.state is State.READY


def test_the_models_may_come_from_a_late_file_system_too(settings, models) -> None:
    kept = models.rename(models.parent / "kept")
    settings.documents[0].directory.mkdir()
    (settings.documents[0].directory / "a.txt").write_text(SECRET)
    done = run(settings, lambda: kept.rename(models))
    assert done.clock.seen == [State.WAITING_FOR_MODEL]
    assert done.snapshot.state is State.READY


def test_a_tampered_model_is_never_loaded(settings, models) -> None:
    (models / "lead" / "MODEL.md").write_text("---\nname: other\n---\n")
    done = run(settings)
    assert done.snapshot.state is State.FAILED
    assert "MODEL.md" in done.snapshot.reason
    assert done.snapshot.models == ()


def test_a_model_that_is_not_there_is_told_at_once(settings, models) -> None:
    done = run(settings.model_copy(update={"models": ("lead", "other")}))
    assert done.snapshot.state is State.FAILED
    assert "no folder other" in done.snapshot.reason


def test_names_are_shown_only_when_the_settings_say_so(settings, models) -> None:
    mount(settings.documents[0].directory)()
    done = run(settings.model_copy(update={"show_names": True}))
    assert done.snapshot.documents[0].label == "merger.txt"


def test_what_cannot_be_read_is_listed_and_the_rest_summarized(settings, models) -> None:
    mount(settings.documents[0].directory)()
    (settings.documents[0].directory / "a.pdf").write_bytes(b"%PDF broken")
    done = run(settings)
    assert [(document.number, document.reason is None) for document in done.snapshot.documents] == [
        (1, False),
        (2, True),
    ]
    assert done.snapshot.reason == "All 1 documents are summarized."


def test_the_guard_of_the_settings_beats_the_card(settings, models) -> None:
    mount(settings.documents[0].directory)()
    done = run(settings.model_copy(update={"guard": "withhold", "guard_run": 5}))
    assert done.jobs.results[FIRST].guarded.summary == ""
    assert done.jobs.results[FIRST].guarded.verdict == "Withheld"


def test_readers_then_get_other_models_and_lengths_of_the_same_budget(settings, models) -> None:
    sentence = "The tenant pays nine hundred euros a month for the house at the lake."
    mount(settings.documents[0].directory, f"{sentence} {' '.join(f'word{n}' for n in range(300))}.")()
    limits = {"guard": "withhold", "guard_share": 3, "max_words": 120}
    done = run(settings.model_copy(update=limits))
    job = ask(done.progress, done.jobs, "reader", [1], ["tail"], Length.SHORT)
    assert done.jobs.view(job.id).state is JobState.WAITING
    done.worker.step()
    assert done.jobs.view(job.id).state is JobState.FINISHED
    first, second = done.jobs.results[FIRST].guarded, done.jobs.results[Request(1, "tail", Length.SHORT)].guarded
    # The same sentence again costs nothing; the budget is the document's, not the request's.
    assert first.summary == second.summary
    assert [model.engine for model in done.snapshot.models] == ["lead", "lead"]


def test_a_cancelled_job_ends_between_two_batches(settings, models, lead_engine, monkeypatch) -> None:
    mount(
        settings.documents[0].directory,
        "\n\n".join(f"Lead {n} of it. " + "More words follow here. " * 4 for n in range(60)),
    )()
    done = run(settings)
    job = ask(done.progress, done.jobs, "reader", [1], ["tail"], Length.SHORT)
    calls = []
    real = lead_engine.summarize

    def summarize(texts, max_words):
        calls.append(len(texts))
        done.jobs.cancel("reader", job.id)
        return real(texts, max_words)

    monkeypatch.setattr(lead_engine, "summarize", summarize)
    done.worker.step()
    assert len(calls) == 1
    assert done.jobs.view(job.id).state is JobState.CANCELLED
    assert Request(1, "tail", Length.SHORT) not in done.jobs.results


def test_an_unforeseen_error_shows_its_type_and_no_text(settings, models, lead_engine, monkeypatch) -> None:
    def fail(texts, max_words):
        raise RuntimeError(f"cannot encode {texts}")

    monkeypatch.setattr(lead_engine, "summarize", fail)
    mount(settings.documents[0].directory)()
    done = run(settings)
    assert done.snapshot.state is State.FAILED
    assert "RuntimeError" in done.snapshot.reason
    assert "secret" not in done.snapshot.reason


def test_one_document_that_fails_takes_no_other_of_its_batch_with_it(
    settings, models, lead_engine, monkeypatch
) -> None:
    settings.documents[0].directory.mkdir()
    for name in ("a", "b", "c"):
        (settings.documents[0].directory / f"{name}.txt").write_text(f"The {name} text.")
    real = lead_engine.summarize

    def fail(texts, max_words):
        if "The b text." in texts:
            raise RuntimeError("unforeseen")
        return real(texts, max_words)

    monkeypatch.setattr(lead_engine, "summarize", fail)
    done = run(settings)
    assert sorted(done.summaries) == ["The a text.", "The c text."]
    assert done.snapshot.state is State.READY
    assert done.snapshot.reason == "2 of 3 documents are summarized, 1 failed."


def test_logs_hold_neither_text_nor_summary_nor_name(settings, models, caplog) -> None:
    mount(settings.documents[0].directory)()
    with caplog.at_level(logging.DEBUG):
        run(settings)
    logged = " ".join(str(vars(record)) for record in caplog.records)
    assert "summarized" in logged
    assert "merger" not in logged


def test_two_runs_give_the_same_summaries(settings, models) -> None:
    shutil.copytree(Path(__file__).parents[3] / "examples" / "documents", settings.documents[0].directory)
    first, second = run(settings), run(settings)
    assert sorted(first.summaries) == sorted(second.summaries)
    assert len(first.summaries) == 5


class Storage:
    """Refuses the first tries, then keeps what it is given."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals, self.written = refusals, {}

    def write(self, content_sha256, number, result) -> None:
        if self.refusals:
            self.refusals -= 1
            raise OutputError(f"result {number} cannot be written: storage answered 403")
        self.written[content_sha256, number] = result


def pinned(settings: Settings) -> Settings:
    """Return settings that pin each file system's documents as they are."""
    pins = (one.model_copy(update={"sha256": read_manifest(one.directory).sha256}) for one in settings.documents)
    return settings.model_copy(update={"documents": tuple(pins)})


def deliver(settings: Settings, storage: Storage) -> Run:
    mount(settings.documents[0].directory)()
    pin = read_manifest(settings.documents[0].directory).sha256
    done = run(pinned(settings), results={"documents": storage})
    assert set(storage.written) == {(pin, 1)}
    return done


def test_the_owner_gets_each_result_with_its_name_before_the_group_is_ready(settings, models) -> None:
    storage = Storage()
    done = deliver(settings, storage)
    (result,) = storage.written.values()
    assert (result["document"], result["summary"]) == ("merger.txt", SECRET)
    assert (result["guard"]["verdict"], result["model"]["name"]) == ("Passed", "The lead")
    assert done.snapshot.state is State.READY
    assert done.snapshot.documents[0].label == "Document 1"
    assert "merger.txt" not in repr(done.snapshot)


@pytest.fixture
def owners(settings, tmp_path) -> Settings:
    """Two owners' documents, two of the first and one of the second."""
    for name, texts in (("legal", ("The lease ends.", "The rent rises.")), ("sales", ("The price falls.",))):
        (tmp_path / name).mkdir()
        for number, text in enumerate(texts):
            (tmp_path / name / f"{number}.txt").write_text(text)
    sets = tuple(DocumentSet(directory=tmp_path / name) for name in ("legal", "sales"))
    return settings.model_copy(update={"documents": sets})


def test_the_documents_of_two_owners_are_numbered_through_and_told_apart(owners, models) -> None:
    done = run(owners)
    listed = done.snapshot.documents
    assert [(one.number, one.label, one.file_system) for one in listed] == [
        (1, "Document 1", "legal"),
        (2, "Document 2", "legal"),
        (3, "Document 3", "sales"),
    ]
    assert done.jobs.results[Request(3, "lead", Length.LONG)].guarded.summary == "The price falls."


def test_each_owner_gets_the_results_of_their_own_documents_and_of_no_other(owners, models) -> None:
    legal, sales = Storage(), Storage()
    settings = pinned(owners)
    run(settings, results={"legal": legal, "sales": sales})
    pins = [one.sha256 for one in settings.documents]
    # By their number among the owner's own, so that another owner's documents change no name of a result.
    assert set(legal.written) == {(pins[0], 1), (pins[0], 2)}
    assert set(sales.written) == {(pins[1], 1)}
    assert [one["summary"] for one in sales.written.values()] == ["The price falls."]
    only = Storage()
    run(settings, results={"sales": only})
    assert only.written.keys() == sales.written.keys()


def test_while_an_owners_key_is_missing_it_says_whose(owners, models) -> None:
    sales = owners.documents[1].directory
    sales.rename(sales.with_name("later"))
    done = run(owners, lambda: None, lambda: sales.with_name("later").rename(sales))
    assert set(done.clock.seen) == {State.WAITING_FOR_KEY}
    assert done.snapshot.state is State.READY


def test_documents_that_are_not_what_their_owner_pinned_are_named_by_owner(owners, models) -> None:
    settings = pinned(owners)
    (owners.documents[1].directory / "0.txt").write_text("Forged.")
    done = run(settings)
    assert done.snapshot.state is State.FAILED
    assert "the documents of sales are 1 files that differ" in done.snapshot.reason
    assert done.summaries == []


def test_a_refused_result_is_a_failure_by_number_that_mends_itself(settings, models) -> None:
    done = deliver(settings, Storage(refusals=6))
    assert done.clock.seen[:4] == [State.SUMMARIZING] * 3 + [State.FAILED]
    assert len(done.clock.seen) == 6
    assert done.snapshot.state is State.READY


def test_a_result_that_cannot_be_written_is_named_by_number(settings, models) -> None:
    reasons = []
    progress = Progress()
    mount(settings.documents[0].directory)()

    def sleep(seconds: float) -> None:
        reasons.append(progress.snapshot.reason)

    Worker(settings, progress, Jobs(), {"documents": Storage(refusals=5)}, sleep=sleep).start()
    assert reasons[-1] == "result 1 cannot be written: storage answered 403"
