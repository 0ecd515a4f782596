"""The operator and the summarizer are two distributions that meet in names: here they are held against each other."""

import pytest

from confidential_summarizer.api.batch import SHARD_INDEX
from confidential_summarizer.api.batch import ShardBy as AskedShardBy
from confidential_summarizer.blueprint import summarizer_environment
from confidential_summarizer.cli.models import PRECISIONS
from confidential_summarizer.reconcile.rollout import PAGE_STATES
from summarizer.convert import QUANTIZATIONS
from summarizer.pins import SignedPin
from summarizer.progress import State
from summarizer.settings import DocumentSet, Settings
from summarizer.shard import ShardBy
from tests.support.resources import resource, spec

OUTPUT = {
    "blobPrefix": "https://party3.blob.core.windows.net/results/sales/",
    "recipient": "age1ahlkc9h5p3ag05vzgryudesjq4lgp7m456h7npw6khc542z4ge5s57p4ch",
}


def test_the_summarizer_understands_every_setting_that_the_operator_gives() -> None:
    # A variable that the summarizer does not know is an error there.
    settings = Settings.from_environment(summarizer_environment(resource(), token_sha256="a" * 64))
    assert settings.token_sha256 == "a" * 64
    assert [str(one.directory) for one in settings.documents] == ["/mnt/remote/documents"]
    assert (settings.models, str(settings.models_directory)) == (("bart",), "/models")


def test_the_summarizer_offers_the_models_of_the_resource_in_their_order() -> None:
    environment = summarizer_environment(resource(summarizer={"models": ["t5-base", "bart"]}), None)
    assert Settings.from_environment(environment).models == ("t5-base", "bart")


def test_the_summarizer_understands_the_pins_of_documents_and_models() -> None:
    documents = spec()["fileSystems"][0] | {"contentSHA256": "a" * 64}
    models = documents | {"name": "models", "role": "Models", "contentSHA256": "b" * 64}
    environment = summarizer_environment(resource(fileSystems=[documents, models]), None)
    settings = Settings.from_environment(environment)
    assert (settings.documents[0].sha256, settings.models_sha256) == ("a" * 64, "b" * 64)
    assert (str(settings.models_directory), settings.guard) == ("/mnt/remote/models", "withhold")


def test_the_summarizer_understands_a_signer_in_place_of_the_documents_pin() -> None:
    signed = spec()["fileSystems"][0] | {"contentKey": "A" * 43 + "=", "minVersion": 3}
    settings = Settings.from_environment(summarizer_environment(resource(fileSystems=[signed]), None))
    assert settings.documents[0].pin == SignedPin("A" * 43 + "=", 3, "documents")


def test_the_summarizer_understands_the_documents_of_several_owners() -> None:
    (first,) = spec()["fileSystems"]
    second = first | {
        "name": "sales",
        "contentSHA256": "b" * 64,
        "key": first["key"] | {"name": "sales-key", "vault": "party3.managedhsm.azure.net"},
        "output": OUTPUT,
    }
    given = summarizer_environment(resource(fileSystems=[first, second]), None)
    assert Settings.from_environment(given).documents == (
        DocumentSet(directory="/mnt/remote/documents"),
        DocumentSet(
            directory="/mnt/remote/sales",
            sha256="b" * 64,
            output=OUTPUT["blobPrefix"],
            recipient=OUTPUT["recipient"],
        ),
    )


@pytest.mark.parametrize("kind", AskedShardBy)
def test_the_summarizer_takes_every_kind_of_shard_that_a_resource_can_ask_for(kind: AskedShardBy) -> None:
    documents = spec()["fileSystems"][0] | {"contentSHA256": "a" * 64, "output": OUTPUT}
    asked = resource(fileSystems=[documents], batch={"shards": 1, "shardBy": kind.value})
    # The index is Kubernetes', which gives each group its own.
    settings = Settings.from_environment(summarizer_environment(asked, None) | {SHARD_INDEX: "0"})
    assert settings.shard_by is ShardBy(kind.value)


def test_the_summarizer_keeps_the_limits_of_the_resource() -> None:
    guard = {"mode": "withhold", "maxShare": 7, "maxRun": 12, "minLetters": 400}
    settings = Settings.from_environment(summarizer_environment(resource(summarizer={"guard": guard}), None))
    assert (settings.guard, settings.guard_share, settings.guard_run, settings.guard_shortest) == (
        "withhold",
        7,
        12,
        400,
    )


def test_the_limits_are_the_same_where_neither_names_any() -> None:
    given = Settings.from_environment(summarizer_environment(resource(), None))
    own = Settings(documents=given.documents, models=given.models)
    names = ("guard", "guard_share", "guard_run", "guard_shortest", "max_words")
    assert [getattr(given, name) for name in names] == [getattr(own, name) for name in names]


def test_the_operator_knows_every_state_of_the_summarizer() -> None:
    assert set(PAGE_STATES) == {state.value for state in State} - {State.READY.value}


def test_the_converter_makes_every_precision_that_csum_offers() -> None:
    assert PRECISIONS == QUANTIZATIONS
