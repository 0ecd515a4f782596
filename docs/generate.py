"""Pages of the site that are made from the code each time it is built, so that they cannot fall behind it.

mkdocs calls `on_config` and `on_files` (mkdocs.yml, `hooks`).
"""

import html
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from prometheus_client import REGISTRY

from confidential_summarizer import metrics
from confidential_summarizer.cli import csum

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CHART = ROOT / "charts" / "confidential-summarizer"

FOLDERS = {"Tutorial": "tutorial", "How to": "how-to", "Reference": "reference", "Explanation": "explanation"}

Schema = Mapping[str, Any]

LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "length {} or more",
    "maxLength": "length up to {}",
    "minItems": "{} or more entries",
    "maxItems": "up to {} entries",
    "pattern": "matches `{}`",
}
"""JSON schema keywords in words."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List every page, in the order in which a newcomer needs the folders."""
    pages = [*(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")), *PAGES]
    config.nav = ["index.md"]
    for title, folder in FOLDERS.items():
        inside = sorted(path for path in pages if path.startswith(f"{folder}/"))
        own = [path for path in inside if path.count("/") == 1]
        deeper = [path for path in inside if path not in own]
        config.nav.append({title: own + ([{"Decisions": deeper}] if deeper else [])})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for path, page in PAGES.items():
        files.append(File.generated(config, path, content=page()))
    return files


def resources() -> str:
    """Every field of the resources, from the CRDs that `make crds` writes from the models."""
    lines = ["# Resources", "", "`kubectl explain csum.spec` says the same for the version that a cluster has."]
    for file in sorted((ROOT / "crds").glob("*.yaml")):
        definition = yaml.safe_load(file.read_text())["spec"]
        version = definition["versions"][0]
        schema = version["schema"]["openAPIV3Schema"]
        lines += ["", f"## {definition['names']['kind']}", ""]
        lines += [f"`{definition['group']}/{version['name']}`. {_escaped(schema.get('description', ''))}"]
        for part in ("spec", "status"):
            if part in schema["properties"]:
                rows = _fields(schema["properties"][part], part)
                lines += ["", f"### {definition['names']['kind']}: {part}", "", *_table("field", "type", "", rows=rows)]
                lines += [f"- {_escaped(rule)}" for rule in _rules(schema["properties"][part], part)]
    return "\n".join(lines)


def _fields(schema: Schema, path: str) -> Iterator[tuple[str, str, str]]:
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        inner = field.get("items", field)
        if path in ("spec", "status"):
            here = name
        says = [field.get("description", "")]
        if name in required:
            says.append("Required.")
        if field.get("default", {}) != {}:
            says.append(f"Default: `{json.dumps(field['default'])}`.")
        if limits := _limits(field):
            says.append(f"{limits}.")
        yield f"`{here}`", _type(field), " ".join(filter(None, says))
        yield from _fields(inner, f"{here}[]" if "items" in field else here)


def _type(field: Schema) -> str:
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "items" in field:
        return f"list of {_type(field['items'])}"
    return str(field.get("type", "any"))


def _limits(field: Schema) -> str:
    found = [text.format(field[word]) for word, text in LIMITS.items() if word in field]
    return ", ".join(found)[:1].upper() + ", ".join(found)[1:]


def _rules(schema: Schema, path: str) -> Iterator[str]:
    """What the API server refuses beyond single fields, in the words that it refuses it with."""
    for rule in schema.get("x-kubernetes-validations", []):
        yield f"`{path}`: {rule.get('message', rule['rule'])}"
    for name, field in schema.get("properties", {}).items():
        yield from _rules(field.get("items", field), f"{path}.{name}")


def commands() -> str:
    """Every command with its options, from click."""
    lines = ["# Every command and option", "", "What the commands are for, and the exit codes: [csum](cli.md)."]
    lines += _command(csum, "csum", click.Context(csum, info_name="csum"))
    return "\n".join(lines)


def _command(command: click.Command, name: str, context: click.Context) -> list[str]:
    lines = []
    if not isinstance(command, click.Group):
        usage = " ".join(command.collect_usage_pieces(context))
        lines = [
            "",
            f"## {name}",
            "",
            _escaped(inspect.cleandoc(command.help or "").replace("\b\n", "")),
            "",
            "```",
            f"{name} {usage}",
            "```",
            "",
        ]
        options = (each.get_help_record(context) for each in command.get_params(context))
        rows = [(f"`{record[0]}`", record[1]) for record in options if record]
        return [*lines, *_table("option", "", rows=rows)]
    for word in command.list_commands(context):
        if inner := command.get_command(context, word):
            lines += _command(inner, f"{name} {word}", click.Context(inner, info_name=word, parent=context))
    return lines


def chart() -> str:
    """The chart's values, and what their schema takes."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = (CHART / "values.yaml").read_text().rstrip()
    lines = ["# Chart", "", "All values with their defaults:", "", "```yaml", values, "```", ""]
    lines += ["`helm` refuses other values than these:", ""]
    rows = [(name, kind, limits) for name, kind, limits in _fields(schema, "spec")]
    return "\n".join([*lines, *_table("value", "type", "", rows=rows)])


def metric_table() -> str:
    """What /metrics says, from the registry that serves it, and the chart's alerts on it."""
    with metrics.Fleet([]):
        families = [family for family in REGISTRY.collect() if family.name.startswith("csum_")]
    lines = ["# Metrics", "", "The operator serves them at `/metrics` on its port 8080, as Prometheus reads them.", ""]
    rows = [(f"`{family.name}`", family.type, family.documentation) for family in families]
    lines += _table("metric", "type", "", rows=rows)
    lines += ["## Alerts", "", "`monitoring.prometheusRule` of the [chart](chart.md) brings them.", ""]
    for group in yaml.safe_load((CHART / "files" / "alerts.yaml").read_text()):
        for rule in group["rules"]:
            lines += _alert(rule)
    return "\n".join(lines)


def _alert(rule: Mapping[str, Any]) -> list[str]:
    condition = re.sub(r",? ?\$operator", "", rule["expr"]).replace("{}", "")
    fires = (
        f"{rule['labels']['severity'].capitalize()}, when for {rule['for']}:"
        if "for" in rule
        else (f"{rule['labels']['severity'].capitalize()}, as soon as:")
    )
    return [f"### {rule['alert']}", "", fires, "", "```", condition, "```", "", rule["annotations"]["description"], ""]


def _table(*head: str, rows: Any) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    lines += [f"| {' | '.join(_escaped(' '.join(cell.split())) for cell in row)} |" for row in rows]
    return [*lines, ""]


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, but for what stands between backticks already."""
    parts = text.split("`")
    parts[::2] = [html.escape(part, quote=False).replace("|", r"\|").replace("*", r"\*") for part in parts[::2]]
    return "`".join(parts)


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/resources.md": resources,
    "reference/commands.md": commands,
    "reference/chart.md": chart,
    "reference/metrics.md": metric_table,
}
