"""The queue: fair between jobs, each summary made once, bounded for each reader."""

from datetime import UTC, datetime

import pytest

from summarizer.errors import Busy, NotYours, UnknownJob
from summarizer.guard import Guarded
from summarizer.jobs import Jobs, JobState, Length, Request, Result

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def jobs() -> Jobs:
    jobs = Jobs(now=lambda: NOW, cores=2)
    jobs.open({number: 1000 - number for number in range(1, 101)})
    return jobs


def wants(*numbers: int, model: str = "m", length: Length = Length.LONG) -> list[Request]:
    return [Request(number, model, length) for number in numbers]


def finish(jobs: Jobs, batch) -> None:
    for request in batch:
        jobs.done(Result(request, Guarded("Short.", "Passed", 0), 0.5, NOW))


def test_short_documents_come_first_and_the_first_one_alone(jobs) -> None:
    job = jobs.submit("reader", wants(1, 2, 3))
    assert job.state is JobState.WAITING
    assert jobs.take() == tuple(wants(3))
    finish(jobs, wants(3))
    assert jobs.take() == tuple(wants(2, 1))
    assert jobs.view(job.id).state is JobState.RUNNING
    finish(jobs, wants(2, 1))
    assert (jobs.view(job.id).state, jobs.view(job.id).done) == (JobState.FINISHED, 3)


def test_jobs_take_turns_so_that_one_document_does_not_wait_for_a_hundred(jobs) -> None:
    jobs.submit("", wants(*range(1, 101)))
    finish(jobs, jobs.take())
    jobs.submit("reader", wants(1, model="other"))
    finish(jobs, jobs.take())
    assert jobs.take() == tuple(wants(1, model="other"))


def test_a_batch_is_of_one_model_and_length_and_bounded_in_words(jobs) -> None:
    jobs.submit("reader", [*wants(*range(1, 31)), *wants(1, 2, length=Length.SHORT)])
    finish(jobs, jobs.take())
    batch = jobs.take()
    assert len({(request.model, request.length) for request in batch}) == 1
    assert 1 < len(batch) <= 8


def test_a_batch_grows_with_the_cores_that_share_it() -> None:
    for cores, documents in ((1, 8), (2, 16), (8, 64)):
        jobs = Jobs(cores=cores)
        jobs.open(dict.fromkeys(range(1, 101), 100))
        jobs.submit("", wants(*range(1, 101)))
        finish(jobs, jobs.take())
        assert len(jobs.take()) == documents


def test_what_is_there_already_is_not_made_again(jobs) -> None:
    first = jobs.submit("one", wants(1))
    second = jobs.submit("two", wants(1, 2))
    finish(jobs, wants(1))
    assert jobs.view(first.id).state is JobState.FINISHED
    assert jobs.take() == tuple(wants(2))
    finish(jobs, wants(2))
    assert jobs.view(second.id).done == 2
    assert jobs.submit("three", wants(1, 2)).state is JobState.FINISHED


def test_a_cancelled_job_keeps_what_it_has_and_nobody_works_for_it(jobs) -> None:
    job = jobs.submit("reader", wants(1, 2, 3))
    batch = jobs.take()
    finish(jobs, batch)
    assert jobs.wanted(wants(1))
    assert jobs.cancel("reader", job.id).state is JobState.CANCELLED
    assert not jobs.wanted(wants(1))
    assert jobs.view(job.id).done == 1
    other = jobs.submit("reader", wants(4))
    assert jobs.take() == tuple(wants(4))
    assert jobs.cancel("reader", other.id).state is JobState.CANCELLED


def test_a_document_that_two_wait_for_is_made_though_one_cancels(jobs) -> None:
    first, _ = jobs.submit("one", wants(1)), jobs.submit("two", wants(1))
    jobs.cancel("one", first.id)
    assert jobs.wanted(wants(1))
    assert jobs.take() == tuple(wants(1))


def test_a_failure_is_told_and_can_be_tried_again(jobs) -> None:
    job = jobs.submit("reader", wants(1))
    jobs.failed(jobs.take()[0], "the model cannot be loaded")
    assert jobs.view(job.id).failed == {wants(1)[0]: "the model cannot be loaded"}
    assert jobs.view(job.id).state is JobState.FINISHED
    jobs.submit("reader", wants(1))
    assert jobs.take() == tuple(wants(1))


def test_one_reader_cannot_fill_the_queue_for_the_others(jobs) -> None:
    for number in range(1, 11):
        jobs.submit("one", wants(number))
    with pytest.raises(Busy, match="10 unfinished jobs"):
        jobs.submit("one", wants(11))
    jobs.submit("two", wants(11))
    for number in range(89):
        jobs.submit(f"other {number}", wants(12))
    with pytest.raises(Busy, match="too many unfinished jobs"):
        jobs.submit("three", wants(11))


def test_the_start_is_no_readers_job(jobs) -> None:
    own = jobs.submit("", wants(1))
    assert jobs.views() == []
    with pytest.raises(NotYours):
        jobs.cancel("reader", own.id)
    with pytest.raises(UnknownJob):
        jobs.view("guess")


def test_a_reader_cannot_cancel_what_another_one_waits_for(jobs) -> None:
    job = jobs.submit("one", wants(1))
    with pytest.raises(NotYours, match="only from the address that asked for it"):
        jobs.cancel("two", job.id)
    assert jobs.take() == tuple(wants(1))


def test_old_jobs_are_forgotten_and_their_results_stay(jobs) -> None:
    first = jobs.submit("reader", wants(1))
    finish(jobs, jobs.take())
    for _ in range(600):
        jobs.submit("reader", wants(1))
    with pytest.raises(UnknownJob):
        jobs.view(first.id)
    assert len(jobs.views()) <= 501
    assert wants(1)[0] in jobs.results


@pytest.mark.parametrize(("most", "words"), [(120, [36, 72, 120]), (60, [18, 36, 60]), (10, [10, 10, 10])])
def test_lengths_are_parts_of_what_the_policy_allows(most: int, words: list[int]) -> None:
    assert [length.words(most) for length in Length] == words
