"""What the launcher decides without touching the machine."""

import ipaddress
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from oneseek_dev import backends, build, cache, content, golden, images, nodeconfigs, pki, recycler, services, tools
from oneseek_dev.errors import DevError
from oneseek_dev.layout import ADDRESSES, Cluster, checkout

HERE = Cluster(Path("/somewhere/oneseek"), "demo")


def other(root: str = "/somewhere/oneseek", name: str = "demo") -> Cluster:
    return Cluster(Path(root), name)


def test_the_same_checkout_and_name_give_the_same_cluster() -> None:
    assert other() == HERE
    assert (other().id, other().subnet, other().netns) == (HERE.id, HERE.subnet, HERE.netns)


@pytest.mark.parametrize(
    "cluster",
    [
        pytest.param(other(name="test"), id="another name"),
        pytest.param(other(root="/elsewhere/oneseek"), id="another checkout"),
    ],
)
def test_two_clusters_share_no_name_and_no_address(cluster: Cluster) -> None:
    for attribute in ("id", "subnet", "netns", "host_link", "cgroup", "state", "runtime", "containerd_root"):
        assert getattr(cluster, attribute) != getattr(HERE, attribute), attribute


@pytest.mark.parametrize("number", range(50))
def test_addresses_are_a_slash_30_of_the_range_for_testing(number: int) -> None:
    cluster = other(name=f"c{number}")
    assert cluster.subnet.prefixlen == 30
    assert cluster.subnet.subnet_of(ADDRESSES)
    assert {ipaddress.ip_address(cluster.host_ip), ipaddress.ip_address(cluster.node_ip)} == set(cluster.subnet.hosts())


def test_names_fit_where_the_kernel_limits_them() -> None:
    assert len(HERE.host_link) <= 15
    assert len(str(HERE.containerd_socket)) + len(".ttrpc") <= 107


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param("../up", id="a path"),
        pytest.param("Demo", id="a capital"),
        pytest.param("a" * 21, id="too long"),
    ],
)
def test_a_name_that_will_not_do_is_refused_with_what_would(name: str) -> None:
    with pytest.raises(DevError, match="use 1-20 of a-z"):
        other(name=name)


def test_a_content_key_changes_with_a_byte_and_not_with_the_time_or_the_place(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        (folder / "__pycache__").mkdir(parents=True)
        (folder / "code.py").write_text("one")
    (first / "__pycache__" / "code.pyc").write_text("noise")
    key = content.key_of("v1", root=first, paths=[first])
    assert content.key_of("v1", root=second, paths=[second]) == key
    (second / "code.py").write_text("two")
    assert content.key_of("v1", root=second, paths=[second]) != key
    assert content.key_of("v2", root=first, paths=[first]) != key


def test_words_of_a_key_do_not_run_together() -> None:
    assert content.key_of("ab", "c") != content.key_of("a", "bc")


def test_our_code_is_no_part_of_the_key_of_the_dependencies() -> None:
    image = images.CATALOGUE["runtime"]
    assert not set(image.code) & set(image.dependencies)
    assert image.code == (Path("core/oneseek_core"), Path("runtime/oneseek_runtime"))


def test_every_image_of_one_dockerfile_has_the_stages_that_are_chosen_by_its_name() -> None:
    for name in ("slim", "runtime", "firestore"):
        image = images.CATALOGUE[name]
        assert f"AS pages-{dict(image.arguments)['REQUIREMENTS']}\n" in image.dockerfile.read_text()


def test_slim_and_runtime_have_different_tags_from_one_dockerfile() -> None:
    slim, runtime = images.CATALOGUE["slim"], images.CATALOGUE["runtime"]
    assert slim.dockerfile == runtime.dockerfile
    assert slim.tag() != runtime.tag()


def test_references_name_no_checkout_and_leave_pause_out() -> None:
    names = images.references()
    assert set(names) == {"operator", "slim", "runtime", "firestore", "base-tiny", "base-smollm2"}
    for name, reference in names.items():
        assert re.fullmatch(rf"registry\.oneseek\.internal/oneseek/{name}:[0-9a-f]{{16}}", reference)


def test_every_dockerfile_takes_its_base_as_an_argument() -> None:
    for image in images.CATALOGUE.values():
        lines = (checkout() / image.dockerfile).read_text().splitlines()
        instructions = [line for line in lines if line and not line.startswith("#")]
        wanted = "FROM scratch" if image.base == images.NO_BASE else "ARG BASE_IMAGE=python:3.11-slim"
        assert instructions[0] == wanted, image.name


def test_the_api_servers_certificate_names_its_address() -> None:
    names = next(identity.names for identity in pki.identities(HERE) if identity.file == "apiserver")
    assert f"IP:{HERE.node_ip}" in names
    assert "DNS:kubernetes.default.svc" in names


def test_configurations_keep_clusters_apart() -> None:
    for text in (nodeconfigs.kubelet(HERE), nodeconfigs.containerd(HERE, "pause"), nodeconfigs.cni(HERE)):
        assert HERE.id in text or str(HERE.state) in text
    assert f'cgroupRoot: "/{HERE.cgroup}"' in nodeconfigs.kubelet(HERE)


@pytest.mark.parametrize(
    ("volume", "released"),
    [
        pytest.param({"spec": {"claimRef": {}}, "status": {"phase": "Released"}}, True, id="its claim is gone"),
        pytest.param({"spec": {"claimRef": {}}, "status": {"phase": "Bound"}}, False, id="in use"),
        pytest.param({"spec": {}, "status": {"phase": "Released"}}, False, id="already offered"),
    ],
)
def test_only_released_volumes_are_offered_again(volume: dict[str, object], released: bool) -> None:
    assert recycler.is_released(volume) is released


def test_wiping_a_volume_never_follows_a_link(tmp_path: Path) -> None:
    volumes, outside = tmp_path / "volumes", tmp_path / "outside"
    folder = volumes / "local-01"
    (folder / "deep" / "er").mkdir(parents=True)
    outside.mkdir()
    (outside / "precious").write_text("kept")
    (folder / "link").symlink_to(outside)
    (folder / "deep" / "link").symlink_to(outside)
    recycler.wipe(folder, volumes)
    assert list(folder.iterdir()) == []
    assert (outside / "precious").read_text() == "kept"


def test_a_volume_elsewhere_or_behind_a_link_is_not_wiped(tmp_path: Path) -> None:
    volumes, outside = tmp_path / "volumes", tmp_path / "outside"
    volumes.mkdir()
    outside.mkdir()
    (outside / "precious").write_text("kept")
    (volumes / "local-01").symlink_to(outside)
    with pytest.raises(OSError, match="local-01"):
        recycler.wipe(volumes / "local-01", volumes)
    with pytest.raises(ValueError, match="not a volume of this cluster"):
        recycler.wipe(outside, volumes)
    assert (outside / "precious").read_text() == "kept"


def test_a_node_port_is_found_by_name_number_or_as_the_first() -> None:
    ports = [{"name": "http", "port": 80, "nodePort": 30080}, {"name": "admin", "port": 81, "nodePort": 30081}]
    service = {"metadata": {"name": "web"}, "spec": {"type": "NodePort", "ports": ports}}
    assert [services.pick_port(service, port) for port in ("", "admin", "81")] == [30080, 30081, 30081]
    with pytest.raises(DevError, match="no port 'grpc'"):
        services.pick_port(service, "grpc")


def test_a_service_without_a_node_port_says_what_to_do() -> None:
    service = {"metadata": {"name": "web"}, "spec": {"type": "ClusterIP", "ports": [{"port": 80}]}}
    with pytest.raises(DevError, match="Give it the type NodePort"):
        services.pick_port(service, "")


def test_an_unknown_kind_of_cluster_is_refused() -> None:
    with pytest.raises(DevError, match="use embedded, kind or existing"):
        backends.chosen({"CLUSTER": "minikube"}, HERE)


def test_an_existing_cluster_needs_a_kubeconfig() -> None:
    with pytest.raises(DevError, match="needs KUBECONFIG"):
        backends.chosen({"CLUSTER": "existing"}, HERE).kubeconfig()


def test_the_registry_for_pushing_has_one_address_for_one_cache() -> None:
    assert build.passing_address("/a") == build.passing_address("/a") != build.passing_address("/b")
    assert build.passing_address("/a").startswith("127.18.")


def test_every_component_of_the_node_is_in_its_one_binary() -> None:
    source = (checkout() / "dev" / "node" / "main.go").read_text()
    assert all(f'"{name}":' in source for name in tools.COMPONENTS)


def golden_root(folder: Path) -> Path:
    root = folder / "root"
    layer = root / "io.containerd.snapshotter.v1.overlayfs" / "snapshots" / "1" / "fs"
    blobs = root / "io.containerd.content.v1.content" / "blobs"
    ingest = root / "io.containerd.content.v1.content" / "ingest" / "half"
    for path in (layer, blobs, ingest, root / "io.containerd.metadata.v1.bolt"):
        path.mkdir(parents=True)
    (layer / "program").write_text("layer")
    (blobs / "blob").write_text("blob")
    (layer.parents[2] / "metadata.db").write_text("snapshots")
    (root / "io.containerd.metadata.v1.bolt" / "meta.db").write_text("meta")
    return root


def test_a_clone_shares_layers_and_blobs_and_has_databases_of_its_own(tmp_path: Path) -> None:
    source, target = golden_root(tmp_path), tmp_path / "clone"
    golden.point_into(source, target)
    same = {
        path: (target / path).samefile(source / path)
        for path in (
            "io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs/program",
            "io.containerd.content.v1.content/blobs/blob",
            "io.containerd.snapshotter.v1.overlayfs/metadata.db",
            "io.containerd.metadata.v1.bolt/meta.db",
        )
    }
    assert list(same.values()) == [True, True, False, False], same
    assert not list(target.glob("*/ingest/*"))


def test_removing_a_clone_leaves_the_golden_root_whole(tmp_path: Path) -> None:
    source, target = golden_root(tmp_path), tmp_path / "clone"
    before = content.key_of(root=source, paths=[source])
    golden.point_into(source, target)
    shutil.rmtree(target)
    assert content.key_of(root=source, paths=[source]) == before


def test_a_generation_goes_only_when_no_cluster_points_into_it(tmp_path: Path) -> None:
    folder, nodes = tmp_path / "golden", tmp_path / "nodes"
    for name in ("old", "older", "new"):
        (folder / name).mkdir(parents=True)
    (folder / "current").symlink_to("new")
    (nodes / "1234").mkdir(parents=True)
    (nodes / "1234" / "oneseek-golden").write_text("old")
    assert golden.unused_generations(folder, nodes) == [folder / "older"]


def test_the_cache_is_told_in_parts_and_goes_as_a_whole_unless_a_cluster_runs_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.sizes() == [f"{tmp_path}/oneseek does not exist"]
    for name, size in (("buildah", 300_000_000), ("nodes/1234", 0), ("logs", 200_000_000)):
        (tmp_path / "oneseek" / name).mkdir(parents=True)
        with (tmp_path / "oneseek" / name / "file").open("wb") as file:
            if size:
                os.posix_fallocate(file.fileno(), 0, size)
    (tmp_path / "oneseek" / "golden").mkdir()
    (tmp_path / "oneseek" / "golden" / "same").hardlink_to(tmp_path / "oneseek" / "buildah" / "file")
    (tmp_path / "other").touch()
    total, *parts = cache.sizes()
    assert total == f"{tmp_path}/oneseek holds 0.5 GB; `make clean-cache` removes it"
    assert [line.split()[:3] for line in parts][:2] == [["0.3", "GB", "buildah"], ["0.0", "GB", "golden"]]
    with pytest.raises(DevError, match=r"A cluster runs from .*: run `make down` first.*1234"):
        cache.clean()
    shutil.rmtree(tmp_path / "oneseek" / "nodes" / "1234")
    cache.clean()
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


@pytest.mark.parametrize(
    ("cores", "free", "wanted"),
    [
        pytest.param(2, 20, {"GOGC": "off", "GOMEMLIMIT": "5120MiB"}, id="room for each compiler"),
        pytest.param(2, 15, {}, id="less than the linker needs"),
        pytest.param(16, 100, {}, id="many compilers"),
    ],
)
def test_compilers_with_room_collect_no_garbage(cores: int, free: int, wanted: dict[str, str]) -> None:
    assert tools.collection(cores, free * 2**30) == wanted


def test_the_demo_builds_what_it_runs_and_nothing_else() -> None:
    assert set(images.wanted("demo")) == {"pause", "operator", "slim", "runtime", "base-smollm2"}
    assert set(images.wanted("test")) == set(images.CATALOGUE)
    quickstart = (checkout() / "examples" / "quickstart" / "model.yaml").read_text()
    assert re.findall(r"oneseek/(base-[a-z0-9]+)", quickstart) == ["base-smollm2"]


def test_a_golden_root_with_more_than_is_wanted_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    generation = tmp_path / "oneseek" / "golden" / "abc"
    generation.mkdir(parents=True)
    (generation.parent / "current").symlink_to("abc")
    assert not golden.has(images.DEMO)
    (generation / "images.json").write_text(json.dumps(golden.wanted(images.CATALOGUE)))
    assert golden.has(images.DEMO)
    assert golden.has(images.CATALOGUE)
    (generation / "images.json").write_text(json.dumps({**golden.wanted(images.DEMO), "runtime": "older"}))
    assert not golden.has(images.DEMO)
