"""What a machine lacks is said before anything is built: each refusal by real means, within two seconds."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from oneseek_dev import preflight, registries
from oneseek_dev.layout import checkout

NOBODY = 65534
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


class Outcome:
    def __init__(self, *words: str | Path, prefix: tuple[str, ...] = (), **environment: str | Path) -> None:
        kept = {name: value for name, value in os.environ.items() if name.lower() not in {*_PROXIES, "cluster"}}
        names = {
            **kept,
            "PYTHONPATH": str(checkout() / "dev"),
            **{key: str(value) for key, value in environment.items()},
        }
        started = time.monotonic()
        argv = [*prefix, *map(str, words or (sys.executable, "-m", "oneseek_dev.preflight", "demo"))]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env=names, cwd=checkout(), timeout=60)
        self.seconds = time.monotonic() - started
        self.status, self.said = done.returncode, done.stderr


def closed_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.fixture
def empty_cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def little_memory() -> Iterator[Path]:
    """The procs file of a cgroup with 1 GiB."""
    one = Path("/sys/fs/cgroup/memory")
    base, name = (one, "memory.limit_in_bytes") if one.is_dir() else (Path("/sys/fs/cgroup"), "memory.max")
    folder = base / f"oneseek-test-{os.getpid()}"
    folder.mkdir()
    (folder / name).write_text(str(2**30))
    yield folder / "cgroup.procs"
    folder.rmdir()


def test_without_root_it_says_so_at_once_and_builds_nothing(empty_cache: Path) -> None:
    drop = (
        f"import os, sys, socket, encodings.idna; from oneseek_dev import preflight; os.setgroups([]); os.setgid({NOBODY}); "
        f"os.setuid({NOBODY}); sys.argv = ['', 'demo']; sys.exit(preflight.main())"
    )
    outcome = Outcome(sys.executable, "-c", drop, XDG_CACHE_HOME=empty_cache)
    assert outcome.status == 2
    assert "Root is needed" in outcome.said
    assert "run it with sudo" in outcome.said
    assert outcome.said.endswith("`make demo` cannot work here; nothing was built.\n")
    assert not empty_cache.exists()


def test_root_without_its_capabilities_is_told_which() -> None:
    if not shutil.which("setpriv"):
        pytest.fail("setpriv (util-linux) is missing")
    outcome = Outcome(
        prefix=("setpriv", "--bounding-set=-sys_admin,-net_admin", "--inh-caps=-sys_admin,-net_admin", "--")
    )
    assert outcome.status == 2
    assert "This root lacks CAP_NET_ADMIN, CAP_SYS_ADMIN: start it with --privileged" in outcome.said


def test_no_room_is_told_with_both_figures_and_what_to_do(small_disk: Path) -> None:
    outcome = Outcome(XDG_CACHE_HOME=small_disk)
    assert outcome.status == 2
    assert re.search(
        rf"{small_disk} has 0\.0 GB of room and this needs \d+ GB: make room, or set XDG_CACHE_HOME", outcome.said
    )
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "setting"), [("Go", "GOPROXY"), ("Python", "PIP_INDEX_URL"), ("npm", "npm_config_registry")]
)
def test_a_registry_that_does_not_answer_is_named_with_its_setting(name: str, setting: str, empty_cache: Path) -> None:
    place = f"127.0.0.1:{closed_port()}"
    outcome = Outcome(XDG_CACHE_HOME=empty_cache, UV_DEFAULT_INDEX="", **{setting: f"http://{place}/simple"})
    assert outcome.status == 2
    assert re.search(rf"The {name} registry at {place} does not answer \(.+\): .*{setting}", outcome.said)


def test_what_is_behind_a_proxy_is_looked_for_at_the_proxy(empty_cache: Path) -> None:
    place = f"127.0.0.1:{closed_port()}"
    outcome = Outcome(XDG_CACHE_HOME=empty_cache, GOPROXY="https://go.example", https_proxy=f"http://{place}")
    assert f"The Go registry at {place} does not answer" in outcome.said


def test_all_that_is_missing_is_told_at_once_in_two_seconds(small_disk: Path) -> None:
    nowhere = f"http://127.0.0.1:{closed_port()}"
    outcome = Outcome(XDG_CACHE_HOME=small_disk, GOPROXY=nowhere, PIP_INDEX_URL=nowhere, npm_config_registry=nowhere)
    assert outcome.status == 2
    told = [line for line in outcome.said.splitlines() if line.startswith("  ✗ ")]
    assert len([line for line in told if " registry at 127.0.0.1" in line]) == 3
    assert any(" of room " in line for line in told)
    assert outcome.seconds < 2 + os.getloadavg()[0] / 4  # two seconds on a machine that does nothing else


def test_little_memory_of_a_container_is_told(little_memory: Path) -> None:
    join = (f"echo $$ > {little_memory} && exec {sys.executable} -m oneseek_dev.preflight demo",)
    outcome = Outcome("sh", "-c", *join)
    assert outcome.status == 2
    # 6 GB where images are still to be built, 2 GB where they are there
    assert re.search("This container may use 1.1 GB of memory and [26] GB are needed", outcome.said)


def test_one_core_is_too_few() -> None:
    outcome = Outcome(prefix=("taskset", "-c", str(min(os.sched_getaffinity(0)))))
    assert outcome.status == 2
    assert "1 core can be used and 2 are needed" in outcome.said


def test_make_stops_before_it_builds(small_disk: Path) -> None:
    """`make` itself ends with 2, and neither apt, Go nor buildah was started."""
    for goal in ("demo", "cluster", "test", "prove"):
        outcome = Outcome("make", "--no-print-directory", goal, XDG_CACHE_HOME=small_disk)
        assert outcome.status == 2
        assert f"`make {goal}` cannot work here; nothing was built." in outcome.said
    assert list(small_disk.iterdir()) == []


def test_an_existing_cluster_needs_its_own_settings_and_no_root(empty_cache: Path) -> None:
    outcome = Outcome(XDG_CACHE_HOME=empty_cache, CLUSTER="existing", KUBECONFIG="/nowhere")
    assert "CLUSTER=existing needs KUBECONFIG" in outcome.said
    assert "ONESEEK_REGISTRY" in outcome.said
    assert "Root" not in outcome.said
    assert "CLUSTER=podman is not known" in Outcome(XDG_CACHE_HOME=empty_cache, CLUSTER="podman").said


def test_an_older_python_is_told_before_a_module_that_it_cannot_read() -> None:
    text = (checkout() / "dev/oneseek_dev/__init__.py").read_text()
    older = "import sys; sys.version_info = (3, 9, 2, 'final', 0)\n" + text
    done = subprocess.run([sys.executable, "-c", older], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Python 3.9 is here and 3.11 or newer is needed" in done.stderr


def test_what_is_in_the_cache_asks_no_registry() -> None:
    """A second demo without a network."""
    all_there = preflight.Need(
        "demo", embedded=True, running=False, programs=False, images=False, base=False, venv=False, packages=()
    )
    assert all_there.registries == set()


@pytest.mark.parametrize(
    ("url", "end"),
    [
        ("https://packages.example/simple", ("packages.example", 443)),
        ("http://packages.example:8080/", ("packages.example", 8080)),
        ("file:///srv/wheels", None),
        ("off", None),
        ("", None),
    ],
)
def test_where_a_registry_is_knocked_at(url: str, end: tuple[str, int] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert registries.endpoint(url) == end


def test_a_registry_that_answers_is_not_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        monkeypatch.setenv("GOPROXY", f"http://127.0.0.1:{server.getsockname()[1]},direct")
        for name in _PROXIES:
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        assert registries.silent({"Go"}, within=2) == {}
