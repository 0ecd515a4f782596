"""Change one module in every small way, and count the changes that its tests notice: for `make mutants`.

The tool, mutmut, knows source trees of other names than ours, and writes beside them; so it works on a copy, one for
each module. Run again after a test was written, it tries only what nobody noticed before, and functions that changed.
"""

import argparse
import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code

ROOT = Path(__file__).parent.parent
COPY = ROOT / "build" / "mutants"
SOURCES = (ROOT / "operator" / "confidential_summarizer", ROOT / "workload" / "summarizer")
SETTINGS = """[mutmut]
source_paths=src
only_mutate=src/{module}
pytest_add_cli_args=
    -n0
    -pno:cacheprovider
    -ptests.mutants
pytest_add_cli_args_test_selection=
    {tests}
also_copy=
    tests
    pyproject.toml
"""
NOTICED_BY = ROOT / "noticed-by"
"""In the copy, where this is a plugin of pytest: the tests that noticed a change, the latest last."""


def pytest_sessionstart() -> None:
    """Let a search for a counterexample end at the first: to make it small takes minutes, and nobody reads it here."""
    settings.register_profile("mutants", settings.default, phases=(Phase.explicit, Phase.generate), database=None)
    settings.load_profile("mutants")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that noticed the last changes: the next change is mostly one of the same function."""
    NOTICED_BY.touch()
    latest = {name: place for place, name in enumerate(NOTICED_BY.read_text().splitlines())}
    items.sort(key=lambda item: -latest.get(item.nodeid, -1))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember a test that noticed a change."""
    if report.failed:
        with NOTICED_BY.open("a") as file:
            file.write(f"{report.nodeid}\n")


def tests_of(module: Path) -> str:
    """Return where the unit tests of a module are, by its place in the source tree."""
    package, *folders = module.parts
    return f"tests/unit/{folders[0] if package == 'confidential_summarizer' and len(folders) > 1 else 'workload'}"


def laid_out(module: Path, tests: list[str]) -> Path:
    """Return the copy of a module's package and tests; what an earlier run found out stays beside it."""
    copy = COPY / module.with_suffix("")
    shutil.rmtree(copy / "tests", ignore_errors=True)
    shutil.rmtree(copy / "mutants" / "tests", ignore_errors=True)
    for source in SOURCES:
        # With new times: the tool looks again at what is newer than its own copy, and at functions that changed.
        shutil.copytree(source, copy / "src" / source.name, copy_function=shutil.copy, dirs_exist_ok=True)
    shutil.copytree(ROOT / "tests", copy / "tests")
    shutil.copy(ROOT / "pyproject.toml", copy)
    # A test that changed may reach other functions than before; the tool asks that of new tests only.
    (copy / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)
    (copy / "setup.cfg").write_text(SETTINGS.format(module=module, tests="\n    ".join(tests)), encoding="utf-8")
    return copy


def is_noticed(code: int | None) -> bool:
    """Tell by what the tool noted of a change whether a test noticed it, or would run for ever."""
    return status_by_exit_code[code] in ("killed", "timeout")


def survivors(found: SourceFileMutationData) -> list[str]:
    """Run the tool, and return the changes that no test notices; those that were noticed before are not tried again."""
    found.load()
    found.exit_code_by_key = {name: code if is_noticed(code) else None for name, code in found.exit_code_by_key.items()}
    if found.exit_code_by_key:
        found.save()
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", "2"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"mutmut failed:\n{(done.stdout + done.stderr)[-3000:]}")
    found.load()
    return [name for name, code in found.exit_code_by_key.items() if not is_noticed(code)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", type=Path, help="for example operator/confidential_summarizer/release/evaluation.py")
    parser.add_argument("tests", nargs="*", help="the tests that have to notice; by default those of its package")
    given = parser.parse_args()
    source = next((source for source in SOURCES if source in given.module.resolve().parents), None)
    if source is None or not given.module.is_file():
        parser.error(f"MODULE has to be a file of the product, not {given.module}")
    module = given.module.resolve().relative_to(source.parent)
    with contextlib.chdir(laid_out(module, given.tests or [tests_of(module)])):
        found = SourceFileMutationData(path=Path("src") / module)
        unnoticed = survivors(found)
        for name in unnoticed:
            sys.stdout.write(get_diff_for_mutant(name, path=found.path) + "\n\n")
    total = len(found.exit_code_by_key)
    noticed = total - len(unnoticed)
    sys.stdout.write(f"{given.module}: {noticed} of {total} changes noticed ({noticed / total:.0%})\n")


if __name__ == "__main__":
    main()
