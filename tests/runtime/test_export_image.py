"""What `kubectl oneseek export` writes is an image to a tool that knows nothing of OneSeek."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from support.certified import certify, shared_keys
from support.exports import base_layout, serving
from support.plugin_objects import Cluster


@pytest.mark.skipif(shutil.which("buildah") is None, reason="buildah is not installed")
def test_an_ordinary_tool_reads_the_layout_and_the_archive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder, _ = certify(tmp_path / "claim", keys=shared_keys())
    cluster = serving(Cluster(tmp_path, capsys), folder)
    base_layout(tmp_path / "base")
    store = [
        "buildah",
        "--root",
        str(tmp_path / "store"),
        "--runroot",
        str(tmp_path / "run"),
        "--storage-driver",
        "vfs",
    ]
    for more, source in (([], "oci:plain"), (["--base", "base"], "oci:based"), ([], "oci-archive:file.tar")):
        target = source.partition(":")[2]
        assert cluster("export", "demo", folder.name, "--to", target, *more)[0] == 0
        done = subprocess.run([*store, "pull", "--quiet", source], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        image = done.stdout.strip()
        shown = subprocess.run(
            [*store, "inspect", "--type", "image", image], capture_output=True, text=True, check=True
        )
        assert json.loads(shown.stdout)["OCIv1"]["config"]["Labels"]["oneseek.io/dna"] == folder.name
