"""Change one module in every small way, and count the changes that its tests notice: for `make mutants`.

The tool, mutmut, knows source trees of other names than ours, and writes beside them; so it works on a copy.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
COPY = ROOT / "build" / "mutants"
SOURCES = (ROOT / "operator" / "confidential_summarizer", ROOT / "workload" / "summarizer")
SETTINGS = """[mutmut]
source_paths=src
only_mutate=src/{module}
pytest_add_cli_args=
    -n0
    -pno:cacheprovider
pytest_add_cli_args_test_selection=
    {tests}
also_copy=
    tests
    pyproject.toml
"""


def tests_of(module: Path) -> str:
    """Return where the unit tests of a module are, by its place in the source tree."""
    package, *folders = module.parts
    return f"tests/unit/{folders[0] if package == 'confidential_summarizer' and len(folders) > 1 else 'workload'}"


def copied(module: Path, tests: list[str]) -> None:
    """Lay the copy out: only what the tests of one module need."""
    shutil.rmtree(COPY, ignore_errors=True)
    for source in SOURCES:
        shutil.copytree(source, COPY / "src" / source.name)
    shutil.copytree(ROOT / "tests", COPY / "tests")
    shutil.copy(ROOT / "pyproject.toml", COPY)
    (COPY / "setup.cfg").write_text(SETTINGS.format(module=module, tests="\n    ".join(tests)), encoding="utf-8")


def mutmut(*arguments: str) -> str:
    """Run the tool in the copy, and return what it says."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(command, cwd=COPY, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"mutmut {arguments[0]} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", type=Path, help="for example operator/confidential_summarizer/release/evaluation.py")
    parser.add_argument("tests", nargs="*", help="the tests that have to notice; by default those of its package")
    given = parser.parse_args()
    source = next((source for source in SOURCES if source in given.module.resolve().parents), None)
    if source is None or not given.module.is_file():
        parser.error(f"MODULE has to be a file of the product, not {given.module}")
    module = given.module.resolve().relative_to(source.parent)
    copied(module, given.tests or [tests_of(module)])
    mutmut("run", "--max-children", "2")
    for survivor in filter(str.strip, mutmut("results").splitlines()):
        sys.stdout.write(mutmut("show", survivor.split(":")[0].strip()) + "\n")
    mutmut("export-cicd-stats")
    counts = json.loads((COPY / "mutants" / "mutmut-cicd-stats.json").read_text(encoding="utf-8"))
    share = f"{counts['killed'] / counts['total']:.0%}"
    sys.stdout.write(f"{given.module}: {counts['killed']} of {counts['total']} changes noticed ({share})\n")


if __name__ == "__main__":
    main()
