"""Every configuration file and command line of the cluster, as text. Pure: a cluster in, text out."""

from pathlib import Path

from oneseek_dev.layout import API_PORT, DNS_SERVICE_IP, POD_CIDR, SERVICE_CIDR, Cluster

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
    """The API server with the defaults of a release, PodSecurity and policies included, and a log of all writes."""
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


def containerd(cluster: Cluster, pause_image: str) -> str:
    """Containerd with a root, a state and a socket of its own."""
    return containerd_config(
        root=cluster.containerd_root,
        state=cluster.runtime / "containerd",
        socket=cluster.containerd_socket,
        cri=f"""
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause_image}"
  # Where a container may not lower its oom score, every sandbox would fail without this.
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "{cluster.runtime / "runc"}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cluster.state / "config" / "cni"}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{cluster.state / "config" / "registries"}"
""",
    )


def containerd_config(*, root: Path, state: Path, socket: Path, cri: str = "") -> str:
    """What every containerd of ours has in common; without `cri` that part is off."""
    off = ["aufs", "btrfs", "devmapper", "zfs"]
    disabled = [f"io.containerd.snapshotter.v1.{name}" for name in off]
    disabled += [] if cri else ["io.containerd.grpc.v1.cri"]
    return f"""version = 2
root = "{root}"
state = "{state}"
disabled_plugins = [{", ".join(f'"{name}"' for name in disabled)}]
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{root / "opt"}"
{cri}"""


def registry_hosts(address: str) -> str:
    """Where containerd finds the images whose name begins with the registry's fixed name."""
    return f"""server = "http://{address}"
[host."http://{address}"]
  capabilities = ["pull", "resolve"]
"""


def cni(cluster: Cluster) -> str:
    """The pods' network: a bridge in the node's namespace."""
    return f"""{{
  "cniVersion": "1.0.0", "name": "oneseek",
  "plugins": [
    {{"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
     "ipam": {{"type": "host-local", "dataDir": "{cluster.runtime / "cni"}", "ranges": [[{{"subnet": "{POD_CIDR}"}}]],
              "routes": [{{"dst": "0.0.0.0/0"}}]}}}},
    {{"type": "portmap", "capabilities": {{"portMappings": true}}}}
  ]
}}
"""


def kubelet(cluster: Cluster) -> str:
    """The kubelet: on cgroup v1 or v2, on a machine that others use too."""
    pki = cluster.pki
    return f"""apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: true}}, x509: {{clientCAFile: "{pki / "ca.crt"}"}}}}
authorization: {{mode: Webhook}}
tlsCertFile: "{pki / "kubelet.crt"}"
tlsPrivateKeyFile: "{pki / "kubelet.key"}"
address: 0.0.0.0
healthzBindAddress: 127.0.0.1
containerRuntimeEndpoint: "unix://{cluster.containerd_socket}"
clusterDNS: ["{DNS_SERVICE_IP}"]
clusterDomain: cluster.local
resolvConf: "{cluster.state / "config" / "resolv.conf"}"
cgroupDriver: cgroupfs
cgroupRoot: "/{cluster.cgroup}"
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
evictionHard: {{memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}}
# Images are shared between clusters and cheap to keep: they are never collected.
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
serializeImagePulls: false
maxPods: 60
podLogsDir: "{cluster.state / "pod-logs"}"
registryPullQPS: 0
eventRecordQPS: 0
nodeStatusUpdateFrequency: 10s
syncFrequency: 10s
makeIPTablesUtilChains: true
volumePluginDir: "{cluster.state / "volume-plugins"}"
"""


def kubelet_arguments(cluster: Cluster) -> list[str]:
    """What the kubelet takes only as arguments."""
    return [
        f"--config={cluster.state / 'config' / 'kubelet.yaml'}",
        f"--kubeconfig={cluster.pki / 'kubelet.kubeconfig'}",
        f"--root-dir={cluster.kubelet_root}",
        f"--cert-dir={cluster.state / 'certificates'}",
        f"--hostname-override={cluster.node_name}",
        f"--node-ip={cluster.node_ip}",
    ]


def kube_proxy(cluster: Cluster) -> str:
    """kube-proxy; it leaves the kernel's connection tracking as the machine has it."""
    return f"""apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
bindAddress: 0.0.0.0
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
clusterCIDR: {POD_CIDR}
hostnameOverride: {cluster.node_name}
clientConnection: {{kubeconfig: "{cluster.pki / "proxy.kubeconfig"}"}}
conntrack: {{maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s, udpTimeout: 0s, udpStreamTimeout: 0s}}
iptables: {{minSyncPeriod: 100ms, syncPeriod: 30s}}
"""


def corefile(cluster: Cluster) -> str:
    """Names of services and pods; there is no world outside to ask."""
    return f"""cluster.local:53 in-addr.arpa:53 {{
    errors
    health 127.0.0.1:8080
    ready 127.0.0.1:8181
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {cluster.pki / "coredns.kubeconfig"} oneseek-{cluster.name}
        pods insecure
        ttl 5
    }}
    cache 5
}}
"""


def registry(storage: Path, address: str) -> str:
    """The image registry: the distribution project's, over a folder that all clusters share."""
    return f"""version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: "{storage}", maxthreads: 100}}
  delete: {{enabled: true}}
http: {{addr: "{address}"}}
"""
