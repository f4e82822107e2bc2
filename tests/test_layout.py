"""Rules for the shape of the code that no linter checks: sizes, module docstrings, and imports between tests."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 50


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    """The syntax trees of all Python files, by path."""
    folders = ("relay", "tests", "migrations", "docs", "deploy")
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def test_a_file_has_at_most_300_lines(modules: dict[str, ast.Module]) -> None:
    lengths = {path: (ROOT / path).read_text(encoding="utf-8").count("\n") for path in modules}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_a_function_has_at_most_50_lines(modules: dict[str, ast.Module]) -> None:
    lengths = {
        f"{path}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {function: lines for function, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == {}


def test_a_module_docstring_is_a_statement(modules: dict[str, ast.Module]) -> None:
    summaries = {path: (ast.get_docstring(tree) or "").partition("\n\n")[0] for path, tree in modules.items()}
    assert [path for path, tree in modules.items() if tree.body and not summaries[path]] == []
    assert [path for path, summary in summaries.items() if summary.endswith("?")] == []


def test_test_modules_do_not_import_each_other(modules: dict[str, ast.Module]) -> None:
    imports = [
        (path, node.module or "")
        for path, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
    ]
    assert [(path, name) for path, name in imports if name.rpartition(".")[2].startswith("test_")] == []
