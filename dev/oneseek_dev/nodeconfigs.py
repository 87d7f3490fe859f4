"""The configuration files of what runs on the node. Pure: a cluster in, text out."""

from pathlib import Path

from oneseek_dev.layout import DNS_SERVICE_IP, POD_CIDR, Cluster


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
  # Pods' network namespaces are mounted where this cluster's other mounts are, so that `down` finds them.
  netns_mounts_under_state_dir = true
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
    """The pods' network: a cable from each pod to the node, which routes between them.

    Not a bridge: what it switches never comes by the node's iptables, where NetworkPolicies are enforced.
    """
    return f"""{{
  "cniVersion": "1.0.0", "name": "oneseek",
  "plugins": [
    {{"type": "ptp", "ipMasq": true,
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
