"""The control plane's command lines, and the registry's configuration. Pure: a cluster in, text out."""

from pathlib import Path

from oneseek_dev.layout import API_PORT, SERVICE_CIDR, Cluster

ETCD = "http://127.0.0.1:2379"

AUDIT_POLICY = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  # The node's heartbeat says nothing about anybody's behaviour.
  - level: None
    userGroups: ["system:nodes"]
    resources: [{group: coordination.k8s.io, resources: [leases]}]
  - level: Metadata
    verbs: [create, update, patch, delete, deletecollection]
  # What pods' accounts read too: `make rbac` holds it against what they are granted. Kubernetes' own controllers apart.
  - level: None
    userGroups: ["system:serviceaccounts:kube-system"]
  - level: Metadata
    userGroups: ["system:serviceaccounts"]
  - level: None
"""


def etcd(cluster: Cluster) -> list[str]:
    """A store for a throw-away cluster: it does not wait for the disk."""
    return [
        "--name=oneseek",
        f"--data-dir={cluster.state / 'etcd'}",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--unsafe-no-fsync",
        "--auto-compaction-retention=10m",
        "--log-level=warn",
    ]


def apiserver(cluster: Cluster) -> list[str]:
    """The API server with the defaults of a release, PodSecurity and policies included, and a log of all writes and of what pods ask."""
    pki = cluster.pki
    return [
        f"--advertise-address={cluster.node_ip}",
        "--bind-address=0.0.0.0",
        f"--secure-port={API_PORT}",
        f"--etcd-servers={ETCD}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        f"--kubelet-client-certificate={pki / 'apiserver-kubelet.crt'}",
        f"--kubelet-client-key={pki / 'apiserver-kubelet.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki / 'accounts.pub'}",
        f"--service-account-signing-key-file={pki / 'accounts.key'}",
        # Without these two components complain every second that delegated authentication has no CA.
        f"--requestheader-client-ca-file={pki / 'ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki / 'front-proxy.crt'}",
        f"--proxy-client-key-file={pki / 'front-proxy.key'}",
        f"--audit-policy-file={cluster.state / 'config' / 'audit-policy.yaml'}",
        f"--audit-log-path={cluster.audit_log}",
        "--audit-log-maxsize=2000",
        "--audit-log-maxbackup=1",
        f"--cert-dir={cluster.state / 'certificates'}",
        "--shutdown-delay-duration=0s",
    ]


def controller_manager(cluster: Cluster) -> list[str]:
    """All controllers, each with its own account."""
    pki = cluster.pki
    return [
        f"--kubeconfig={pki / 'controller-manager.kubeconfig'}",
        f"--authentication-kubeconfig={pki / 'controller-manager.kubeconfig'}",
        f"--authorization-kubeconfig={pki / 'controller-manager.kubeconfig'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--requestheader-client-ca-file={pki / 'ca.crt'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--service-account-private-key-file={pki / 'accounts.key'}",
        f"--cluster-signing-cert-file={pki / 'ca.crt'}",
        f"--cluster-signing-key-file={pki / 'ca.key'}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--cert-dir={cluster.state / 'certificates'}",
        "--node-monitor-grace-period=60s",
    ]


def scheduler(cluster: Cluster) -> list[str]:
    """The scheduler as released."""
    pki = cluster.pki
    return [
        f"--kubeconfig={pki / 'scheduler.kubeconfig'}",
        f"--authentication-kubeconfig={pki / 'scheduler.kubeconfig'}",
        f"--authorization-kubeconfig={pki / 'scheduler.kubeconfig'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--requestheader-client-ca-file={pki / 'ca.crt'}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--cert-dir={cluster.state / 'certificates'}",
    ]


def registry(storage: Path, address: str) -> str:
    """The image registry: the distribution project's, over a folder that all clusters share."""
    return f"""version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: "{storage}", maxthreads: 100}}
  delete: {{enabled: true}}
http: {{addr: "{address}"}}
"""
