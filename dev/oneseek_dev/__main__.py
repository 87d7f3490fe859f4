"""The launcher's commands: `PYTHONPATH=dev python3 -m oneseek_dev [--name NAME] COMMAND`."""

import argparse
import os
import sys

from oneseek_dev import backends, cache, dashboard, recycler
from oneseek_dev.console import say
from oneseek_dev.errors import DevError
from oneseek_dev.layout import Cluster, checkout


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="oneseek_dev", description="OneSeek's local cluster and its images.")
    main.add_argument("--name", default="demo", help="which cluster (default: demo)")
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("tools", help="install and build what the cluster is made of")
    prepare = commands.add_parser(
        "prepare", help="programs and images, made side by side; then `up` is a matter of seconds"
    )
    prepare.add_argument("names", nargs="*", help="which images (default: all)")
    up = commands.add_parser("up", help="start the cluster, or what is missing of it")
    up.add_argument("--enforce", action="store_true", help="enforce NetworkPolicies, until the cluster is removed")
    commands.add_parser("down", help="remove the cluster and everything of it")
    commands.add_parser("status", help="say what runs; exit status 1 if the cluster is not up")
    images = commands.add_parser(
        "images", help="build the images that changed and put them within reach of the cluster"
    )
    images.add_argument("--print", action="store_true", help="only print a JSON map of names to full references")
    images.add_argument("names", nargs="*", help="which images (default: all)")
    page = commands.add_parser("dashboard", help="build the dashboard for a sidecar that runs from source")
    page.add_argument("what", nargs="?", default="build", choices=("build", "check", "browser"))
    commands.add_parser("kubeconfig", help="print the path of the kubeconfig")
    within = commands.add_parser("exec", help="run a command in the cluster's network, with its kubeconfig")
    within.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND …")
    url = commands.add_parser("url", help="print the URL at which this machine reaches a NodePort service")
    url.add_argument("service", help="NAME or NAMESPACE/NAME")
    url.add_argument("--port", default="", help="the port's name or number (default: the first)")
    cached = commands.add_parser("cache", help="say what the cache holds, or remove it")
    cached.add_argument("what", nargs="?", default="size", choices=("size", "clean"))
    commands.add_parser("recycle", help="offer released volumes again, for ever (started by `up`)")
    return main


def act(arguments: argparse.Namespace) -> int:
    """Do what the command line says; returns the exit status."""
    cluster = Cluster(checkout(), arguments.name)
    if arguments.command == "dashboard":
        dashboard.act(arguments.what)
        return 0
    if arguments.command == "cache":
        cache.clean() if arguments.what == "clean" else say("\n".join(cache.sizes()))
        return 0
    if arguments.command == "recycle":
        recycler.loop(cluster)
    backend = backends.chosen(os.environ, cluster)
    match arguments.command:
        case "tools":
            backend.tools()
        case "prepare":
            backend.prepare(arguments.names)
        case "up":
            backend.up(enforce=arguments.enforce)
        case "down":
            backend.down()
        case "status":
            lines, healthy = backend.status()
            print("\n".join(lines))
            return 0 if healthy else 1
        case "images":
            print(backend.images(arguments.names, only_print=arguments.print))
        case "kubeconfig":
            print(backend.kubeconfig())
        case "exec":
            backend.execute(arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words)
        case "url":
            print(backend.url(arguments.service, arguments.port))
    return 0


def main() -> int:
    """Run one command; a DevError is told in its own words, without a traceback."""
    try:
        return act(parser().parse_args())
    except DevError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
