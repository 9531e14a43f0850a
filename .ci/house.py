"""Checks that no linter has: sizes of files and functions, a test file for every module, and words that stay out.

``python .ci/house.py`` prints what is too long, missing, or worded as it should not be, and then exits with 1.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LONGEST_FILE, LONGEST_FUNCTION = 400, 50
LONGER_FILES = {"latentode/estimators/forecaster.py": 449}
"""The forecaster's docstring explains every parameter."""

# A query is a query, a held-out series a held-out series: the field has words for all of these.
WORDS = ["told", "asked", "look", "looks", "fan", "fans", "grief", "wary", "strangers", "stuck", "coach", "ledger"]
BANNED = re.compile(rf"(?<![a-z])({'|'.join(WORDS)})(?![a-z])", re.IGNORECASE)
WORDED = ("latentode/**/*.py", "tests/**/*.py", "examples/*.py", "docs/*.md", "README.md", "CONTRIBUTING.md")


def long_files() -> Iterator[str]:
    """Files of the package above the limit."""
    for path in sorted(ROOT.glob("latentode/**/*.py")):
        name, n = str(path.relative_to(ROOT)), len(path.read_text().splitlines())
        if n > LONGER_FILES.get(name, LONGEST_FILE):
            yield f"{name}: {n} lines"


def long_functions() -> Iterator[str]:
    """Functions of the package above the limit, docstrings and comments not counted."""
    for path in sorted(ROOT.glob("latentode/**/*.py")):
        text = path.read_text()
        lines = text.splitlines()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                code = lines[body[0].lineno - 1 : node.end_lineno] if body else []
                n = sum(bool(line.strip()) and not line.strip().startswith("#") for line in code)
                if n > LONGEST_FUNCTION:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {n} lines of code"


def untested_modules() -> Iterator[str]:
    """Modules of the package without a test file of their own: latentode/x/_y.py has tests/x/test_y.py."""
    for path in sorted(ROOT.glob("latentode/**/*.py")):
        if path.name != "__init__.py":
            module = path.relative_to(ROOT)
            folder, name = Path("tests", *module.parts[1:-1]), f"test_{path.stem.strip('_')}.py"
            if not (ROOT / folder / name).is_file():
                yield f"{module}: its tests are missing, expected in {folder / name}"


def banned_words() -> Iterator[str]:
    """Places where a word stands that has a better one."""
    for pattern in WORDED:
        for path in sorted(ROOT.glob(pattern)):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                for word in BANNED.findall(line):
                    yield f"{path.relative_to(ROOT)}:{number}: {word!r}"


def main() -> int:
    """Print every finding; 1 if there is one."""
    found = [*long_files(), *long_functions(), *untested_modules(), *banned_words()]
    print("\n".join(found)) if found else None
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
