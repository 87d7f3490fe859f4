"""The cluster's own network: a namespace, and one cable between it and the host.

The namespace has no default route and the host forwards nothing for it, so nothing of the cluster can leave the
machine, the host's iptables stay untouched, and deleting the namespace removes every rule and route in it.
"""

from oneseek_dev.errors import DevError
from oneseek_dev.layout import SERVICE_CIDR, Cluster
from oneseek_dev.shell import run


def create(cluster: Cluster) -> None:
    """Afterwards the namespace, the cable and the routes are there; nothing happens if they were."""
    if cluster.netns_path.exists() and cluster.host_link in run(["ip", "-o", "link"]):
        return
    remove(cluster)
    if taken := run(["ip", "-o", "-4", "addr", "show", "to", str(cluster.subnet)]).strip():
        raise DevError(
            f"The addresses {cluster.subnet} are in use ({taken.split()[1]}): another cluster got the same ones by "
            f"chance. Choose another name with --name."
        )
    run(["ip", "netns", "add", cluster.netns])
    run(
        [
            "ip",
            "link",
            "add",
            cluster.host_link,
            "type",
            "veth",
            "peer",
            "name",
            cluster.node_link,
            "netns",
            cluster.netns,
        ]
    )
    run(["ip", "addr", "add", f"{cluster.host_ip}/30", "dev", cluster.host_link])
    run(["ip", "link", "set", cluster.host_link, "up"])
    inside = [
        "link set lo up",
        f"addr add {cluster.node_ip}/30 dev {cluster.node_link}",
        f"link set {cluster.node_link} up",
        # kube-proxy rewrites a service's address after the kernel has looked for a route to it, so there must be
        # one, for the API server's own calls to webhooks; what nobody rewrites ends in a bridge with no port.
        "link add services type bridge",
        "link set services up",
        f"route add {SERVICE_CIDR} dev services src {cluster.node_ip}",
        "route add unreachable default",  # a program that looks for the internet learns at once that there is none
    ]
    run(["ip", "-netns", cluster.netns, "-batch", "-"], stdin="\n".join(inside) + "\n")
    run(["nsenter", f"--net={cluster.netns_path}", "sysctl", "-qw", "net.ipv4.ip_forward=1"])


def remove(cluster: Cluster) -> None:
    """Afterwards neither the namespace nor the cable is there."""
    if cluster.host_link in run(["ip", "-o", "link"]):
        run(["ip", "link", "delete", cluster.host_link])
    if cluster.netns_path.exists():
        run(["ip", "netns", "delete", cluster.netns])
