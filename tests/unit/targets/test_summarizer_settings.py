"""The variables that the product sets are those that the workload knows."""

from confidential_summarizer.blueprint import summarizer_environment
from summarizer.settings import Settings
from tests.support.resources import resource, spec

PIN = "b" * 64


def test_every_variable_of_the_product_is_a_setting_of_the_workload() -> None:
    documents = spec()["fileSystems"][0] | {"contentSHA256": "a" * 64}
    models = documents | {"name": "models", "role": "Models", "contentSHA256": PIN}

    environment = summarizer_environment(resource(fileSystems=[documents, models]), "c" * 64)
    settings = Settings.from_environment(environment)

    assert (settings.documents_sha256, settings.models_sha256) == ("a" * 64, PIN)
    assert str(settings.models) == "/mnt/remote/models"
    assert settings.guard == "withhold"


def test_without_pins_the_workload_takes_the_model_of_its_image() -> None:
    settings = Settings.from_environment(summarizer_environment(resource(), None))

    assert (settings.documents_sha256, settings.models, settings.models_sha256) == (None, None, None)
