"""Keys, certificates and kubeconfigs, made by openssl when a cluster starts for the first time."""

import base64
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from oneseek_dev.layout import API_SERVICE_IP, Cluster
from oneseek_dev.shell import run

_DAYS = "3650"


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who needs a certificate: `organizations` are groups to Kubernetes."""

    file: str
    user: str
    organization: str = ""
    names: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """The subject in openssl's way of writing."""
        return f"/O={self.organization}/CN={self.user}" if self.organization else f"/CN={self.user}"


def identities(cluster: Cluster) -> list[Identity]:
    """Everybody in the cluster who proves with a certificate who they are."""
    service = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    api_names = tuple(f"DNS:{name}" for name in (*service, "localhost"))
    api_addresses = tuple(f"IP:{address}" for address in (cluster.node_ip, API_SERVICE_IP, "127.0.0.1"))
    return [
        Identity("apiserver", "kube-apiserver", names=api_names + api_addresses),
        Identity("apiserver-kubelet", "kube-apiserver-kubelet-client", "system:masters"),
        Identity("front-proxy", "front-proxy-client"),
        Identity("admin", "admin", "system:masters"),
        Identity("controller-manager", "system:kube-controller-manager"),
        Identity("scheduler", "system:kube-scheduler"),
        Identity("proxy", "system:kube-proxy"),
        Identity("coredns", "system:masters:coredns", "system:masters"),
        Identity(
            "kubelet",
            f"system:node:{cluster.node_name}",
            "system:nodes",
            (f"DNS:{cluster.node_name}", f"IP:{cluster.node_ip}"),
        ),
    ]


def create(cluster: Cluster) -> None:
    """Afterwards the folder of keys is complete; it is renamed into place, so half a folder is never used."""
    if cluster.pki.exists():
        return
    part = cluster.pki.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True, mode=0o700)
    _openssl(part, Identity("ca", "oneseek-local-ca"), authority=True)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda identity: _openssl(part, identity), identities(cluster)))
    run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", part / "accounts.key"])
    run(["openssl", "pkey", "-in", part / "accounts.key", "-pubout", "-out", part / "accounts.pub"])
    for who in ("admin", "controller-manager", "scheduler", "proxy", "coredns", "kubelet"):
        (part / f"{who}.kubeconfig").write_text(kubeconfig(cluster, part, who))
    part.rename(cluster.pki)


def _openssl(folder: Path, identity: Identity, *, authority: bool = False) -> None:
    words: list[str | Path] = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-noenc",
    ]
    words += ["-days", _DAYS, "-subj", identity.subject]
    words += ["-keyout", folder / f"{identity.file}.key", "-out", folder / f"{identity.file}.crt"]
    if authority:
        words += ["-addext", "keyUsage=critical,digitalSignature,keyCertSign,cRLSign"]
    else:
        words += ["-CA", folder / "ca.crt", "-CAkey", folder / "ca.key"]
        words += ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth,clientAuth"]
    if identity.names:
        words += ["-addext", "subjectAltName=" + ",".join(identity.names)]
    run(words)


def kubeconfig(cluster: Cluster, folder: Path, who: str) -> str:
    """A kubeconfig with everything inside, so that it can be copied alone."""

    def inline(name: str) -> str:
        return base64.b64encode((folder / name).read_bytes()).decode()

    return f"""apiVersion: v1
kind: Config
current-context: oneseek-{cluster.name}
clusters:
  - name: oneseek-{cluster.name}
    cluster: {{server: "{cluster.server}", certificate-authority-data: {inline("ca.crt")}}}
users:
  - name: {who}
    user: {{client-certificate-data: {inline(f"{who}.crt")}, client-key-data: {inline(f"{who}.key")}}}
contexts:
  - name: oneseek-{cluster.name}
    context: {{cluster: oneseek-{cluster.name}, user: {who}}}
"""
