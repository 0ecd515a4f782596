import pytest

from azure_sandbox.azure.arm.template import evaluate, read_jsonc
from azure_sandbox.azure.errors import ServiceError


def value(expression, *, given=None, **template):
    outputs = {"x": {"type": "string", "value": expression}}
    properties = {"template": {"resources": [], "outputs": outputs, **template}, "parameters": given or {}}
    return evaluate(properties, "westeurope").outputs["x"]["value"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("plain", "plain"),
        ("[[plain]", "[plain]"),
        ("['it''s']", "it's"),
        ("[resourceGroup().location]", "westeurope"),
        ("[concat('a', 1, toUpper('b'))]", "a1B"),
        ("[createArray('a', 'b')[1]]", "b"),
        ("[if(equals('a', 'a'), 'same', 'other')]", "same"),
        ("[base64ToString(base64('text'))]", "text"),
        ("[format('{0}-{1}', 'a', 2)]", "a-2"),
    ],
)
def test_expressions_are_evaluated(expression, expected):
    assert value(expression) == expected


def test_a_variable_may_use_parameters_and_variables():
    variables = {"a": "[concat(variables('b'), parameters('P'))]", "b": "x"}
    assert value("[variables('A')]", variables=variables, parameters={"p": {"type": "int", "defaultValue": 2}}) == "x2"


@pytest.mark.parametrize(
    ("expression", "template"),
    [
        ("[reference('x')]", {}),
        ("[variables('none')]", {}),
        ("[parameters('none')]", {}),
        ("[concat('a']", {}),
        ("[concat('a') 'b']", {}),
        ("[resourceGroup().nothing]", {}),
        ("[int('a')]", {}),
        ("[variables('a')]", {"variables": {"a": "[variables('a')]"}}),
        ("x", {"parameters": {"p": {"type": "string"}}}),
        ("x", {"parameters": {"p": {"type": "int", "defaultValue": []}}}),
        ("x", {"parameters": {"p": {"type": "string", "defaultValue": "a", "allowedValues": ["b"]}}}),
    ],
)
def test_what_cannot_be_evaluated_is_refused_in_the_service_s_form(expression, template):
    with pytest.raises(ServiceError) as refused:
        value(expression, **template)
    assert (refused.value.status, refused.value.code) == (400, "InvalidTemplate")


def test_a_parameter_that_the_template_does_not_have_is_refused():
    with pytest.raises(ServiceError, match="do not correspond"):
        value("x", given={"q": {"value": 1}})


def test_a_secure_parameter_is_used_and_not_shown():
    template = {"resources": [], "parameters": {"p": {"type": "secureString"}}}
    shown = evaluate({"template": template, "parameters": {"p": {"value": "planted"}}}, "westeurope")
    assert "planted" not in repr(shown)


def test_the_body_of_azure_cli_is_read_with_its_comments():
    text = (
        '{"properties": {"mode": "Incremental", template:// why\n{ "a": "http://x, template:", /* b */ "b": "c\nd"}}}'
    )
    assert read_jsonc(text)["properties"]["template"] == {"a": "http://x, template:", "b": "c\nd"}


def test_a_body_that_is_no_json_is_refused():
    with pytest.raises(ServiceError, match="InvalidRequestContent"):
        read_jsonc("{")
