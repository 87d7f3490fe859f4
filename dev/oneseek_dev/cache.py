"""What is kept in the user's cache for every checkout, and how it goes."""

from oneseek_dev.console import step
from oneseek_dev.errors import DevError
from oneseek_dev.layout import cache_folder
from oneseek_dev.shell import run
from oneseek_dev.teardown import unmount_below

_WHAT = {
    "bin": "programs",
    "buildah": "layers of images",
    "aside": "Python packages of images",
    "golden": "the same, laid out for clusters (files that both have count once)",
    "registry": "images that tests pushed",
    "nodes": "what clusters that run have of their own",
}


def sizes() -> list[str]:
    """Lines for a person: each part, and the sum of all."""
    folder = cache_folder()
    if not folder.is_dir():
        return [f"{folder} does not exist"]
    # One call: a file with several names is counted where it is met first.
    parts = [folder / name for name in _WHAT if (folder / name).is_dir()]
    rest = [path for path in sorted(folder.iterdir()) if path not in parts]
    counted = dict(
        line.split("\t")[::-1] for line in run(["du", "-s", "--block-size=1", *parts, *rest], check=False).splitlines()
    )
    sums = {path.name: int(counted.get(str(path), 0)) for path in (*parts, *rest)}
    lines = [f"  {size / 1e9:5.1f} GB  {name:9} {_WHAT[name]}" for name, size in sums.items() if name in _WHAT]
    return [f"{folder} holds {sum(sums.values()) / 1e9:.1f} GB; `make clean-cache` removes it", *lines]


def clean() -> None:
    """Remove all of it, and nothing else; refused while a cluster runs from it."""
    folder = cache_folder()
    if any((folder / "nodes").glob("*")):
        raise DevError(
            f"A cluster runs from {folder}: run `make down` first, in every checkout that has one "
            f"({', '.join(sorted(path.name for path in (folder / 'nodes').glob('*')))})."
        )
    with step(f"removing {folder}"):
        unmount_below([folder])
        run(["rm", "-rf", "--one-file-system", folder])
