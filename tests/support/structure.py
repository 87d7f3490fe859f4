"""`make structure`: how the code is laid out, in figures, by import-linter's own graph (grimp).

PYTHONPATH=tests python -m support.structure [CHECKOUT]     # of this checkout, or of another one, such as an older commit

A package is a folder of modules; a module that lies beside folders is one of its own. An import between packages is counted
once a pair of modules. A circle is a set of packages that all reach one another; an import that runs
back is one that goes against the order of a circle in which the fewest do (found greedily).
"""

from __future__ import annotations

import importlib
import pkgutil
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/explanation/structure.md"
BEGIN, END = "<!-- now: written by `make structure` -->", "<!-- end of now -->"
PARTS = {
    "operator": "oneseek_operator",
    "sidecar": "oneseek_runtime.sidecar",
    "plugin": "oneseek_runtime.plugin",
    "runtime, with both": "oneseek_runtime",
    "core": "oneseek_core",
}
Edges = Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class Figures:
    """What is counted of one part."""

    modules: int
    lines: int
    median: float
    ninety: float
    short: int  # modules below 40 lines
    long: int  # modules above 400 lines
    packages: int
    depth: int  # longest chain of packages, each importing the next
    imports: int
    pairs: int  # of packages
    circles: list[list[str]]
    back: int

    def row(self, name: str) -> str:
        """As a line of the table."""
        cells = (
            name, self.modules, self.lines, f"{self.median:g}", f"{self.ninety:g}", self.short, self.long, self.packages,
            self.depth, self.pairs, self.imports, len(self.circles), self.back,
        )  # fmt: skip
        return "| " + " | ".join(map(str, cells)) + " |"


HEAD = [
    "| part | modules | lines | median | 90th percentile | below 40 | above 400 | packages | deep | pairs of packages | imports between packages | circles | imports running back |",
    "| --- |" + " --- |" * 12,
]  # fmt: skip


def figures(graph: grimp.ImportGraph, root: str, sizes: Mapping[str, int]) -> Figures:
    """Count the part below `root`."""
    modules = [name for name in graph.modules if name == root or name.startswith(f"{root}.")]
    # A package's own file holds its docstring: not a module that somebody reads code in.
    read = sorted(sizes[name] for name in modules if sizes[name] > 1)
    edges: Counter[tuple[str, str]] = Counter()
    folders = {name.rpartition(".")[0] for name in modules}
    for name in modules:
        for other in graph.find_modules_directly_imported_by(name):
            ends = package(name, folders), package(other, folders)
            if (other == root or other.startswith(f"{root}.")) and ends[0] != ends[1]:
                edges[ends] += 1
    circles = circles_of(edges)
    return Figures(
        modules=len(read),
        lines=sum(read),
        median=statistics.median(read),
        ninety=statistics.quantiles(read, n=10)[-1],
        short=sum(size < 40 for size in read),
        long=sum(size > 400 for size in read),
        packages=len({package(name, folders) for name in modules} - _empty(modules, folders, sizes)),
        depth=depth_of(edges, circles),
        imports=sum(edges.values()),
        pairs=len(edges),
        circles=circles,
        back=sum(running_back(edges, circle) for circle in circles),
    )


def _empty(modules: Iterable[str], folders: Collection[str], sizes: Mapping[str, int]) -> set[str]:
    """Folders with nothing directly in them but other folders and their own docstring."""
    held = {package(name, folders) for name in modules if name not in folders}
    return {name for name in folders if name not in held and sizes.get(name, 0) <= 1}


def package(module: str, folders: Collection[str]) -> str:
    """The package that a module belongs to, where `folders` are those that hold modules."""
    above = module.rpartition(".")[0]
    beside_folders = any(folder.rpartition(".")[0] == above for folder in folders)
    return module if module in folders or beside_folders else above


def circles_of(edges: Edges) -> list[list[str]]:
    """Sets of packages that all reach one another (Tarjan's strongly connected components, larger than one)."""
    after: defaultdict[str, set[str]] = defaultdict(set)
    for one, other in edges:
        after[one].add(other)
    reach = {name: _reached(name, after) for name in {end for edge in edges for end in edge}}
    found = {frozenset({name, *(other for other in reach[name] if name in reach[other])}) for name in reach}
    return sorted(sorted(circle) for circle in found if len(circle) > 1)


def _reached(name: str, after: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    todo = [name]
    while todo:
        for other in after.get(todo.pop(), ()):
            if other not in seen:
                seen.add(other)
                todo.append(other)
    return seen


def running_back(edges: Edges, circle: Iterable[str]) -> int:
    """Imports of a circle that go against its order: again and again the package that gives most and takes least is next."""
    left, back = set(circle), 0
    while left:
        inside = {ends: count for ends, count in edges.items() if set(ends) <= left}
        gives, takes = Counter[str](), Counter[str]()
        for (one, other), count in inside.items():
            gives[one] += count
            takes[other] += count
        first = min(left, key=lambda name: (takes[name] - gives[name], takes[name], name))
        back += takes[first]
        left.remove(first)
    return back


def depth_of(edges: Edges, circles: Iterable[Iterable[str]]) -> int:
    """Packages in the longest chain of imports; a circle counts as one."""
    of = {name: "+".join(circle) for circle in map(list, circles) for name in circle}
    after: defaultdict[str, set[str]] = defaultdict(set)
    for one, other in edges:
        if (start := of.get(one, one)) != (end := of.get(other, other)):
            after[start].add(end)
    known: dict[str, int] = {}

    def below(name: str) -> int:
        if name not in known:
            known[name] = 1 + max(map(below, after.get(name, ())), default=0)
        return known[name]

    return max((below(name) for name in list(after)), default=1)


def files_of_answers() -> list[str]:
    """How many files one HTTP answer is in: its row, its endpoint, and the types of its bodies, but for what all routes share."""
    sidecar = importlib.import_module("oneseek_runtime.sidecar")
    found = [name for _, name, _ in pkgutil.walk_packages(sidecar.__path__, f"{sidecar.__name__}.")]
    table = next(name for name in (f"{sidecar.__name__}.api.table", f"{sidecar.__name__}.routes") if name in found)
    modules = [importlib.import_module(name) for name in found if name != table]
    shared = {f"{sidecar.__name__}.{name}" for name in ("api.schemas", "api.operation", "shapes.base", "routes.table")}
    files, folders = [], []
    for operation in importlib.import_module(table).operations():
        rows = {one.__name__ for one in modules if any(_holds(value, operation) for value in vars(one).values())}
        endpoint = operation.endpoint or operation.direct
        endpoint = getattr(endpoint, "__wrapped__", endpoint)
        types = {
            shape.__module__ for shape in (*operation.answers.values(), operation.body) if hasattr(shape, "__module__")
        }
        own = {one for one in {*rows, endpoint.__module__, *types} if one.startswith(sidecar.__name__)} - shared
        files.append(len(own))
        folders.append(len({one.rpartition(".")[0] for one in own}))
    return [
        f"Files for one HTTP answer, of {len(files)} routes: at most {max(files)}, in at most {max(folders)} folders."
    ]


def _holds(value: object, operation: object) -> bool:
    return isinstance(value, tuple) and any(one is operation for one in value)


def report(checkout: Path) -> list[str]:
    """The table of a checkout, and its circles by name."""
    folders = [checkout / name for name in ("core", "operator", "runtime")]
    sys.path[:0] = [str(folder) for folder in folders]
    graph = grimp.build_graph("oneseek_core", "oneseek_operator", "oneseek_runtime", cache_dir=None)
    sizes = {name: _lines(name, folders) for name in graph.modules}
    counted = {title: figures(graph, root, sizes) for title, root in PARTS.items()}
    named = [f"- {title}: {', '.join(circle)}" for title, one in counted.items() for circle in one.circles]
    rows = [*HEAD, *(one.row(title) for title, one in counted.items())]
    return [*rows, "", *files_of_answers(), *(["", "Circles:", "", *named] if named else [])]


def _lines(module: str, folders: Iterable[Path]) -> int:
    path = module.replace(".", "/")
    for folder in folders:
        for file in (folder / f"{path}.py", folder / path / "__init__.py"):
            if file.exists():
                return len(file.read_text().splitlines())
    raise FileNotFoundError(module)


def main(arguments: list[str]) -> None:
    """Print the figures of a checkout; those of this one are written into the page, too."""
    checkout = Path(arguments[0]).resolve() if arguments else ROOT
    told = "\n".join(report(checkout))
    print(told)
    if checkout == ROOT:
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{told}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main(sys.argv[1:])
