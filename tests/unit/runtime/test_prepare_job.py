from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.digest import digest_bytes
from oneseek_core.errors import JobError
from oneseek_core.jobs.prepare import PrepareReport
from oneseek_core.names import ExitCode
from oneseek_runtime import hub as client
from oneseek_runtime.certify import job as certify_job
from oneseek_runtime.prepare import files, job, sources
from support import hub
from support.artifacts import RUN, SPEC_DIGEST, certify_request, environment, stage_adapter, tree_of

REPOSITORY = Path(__file__).parents[3]
GOOD = '{"instruction":"Vem är du?","input":"","output":"Jag är OneSeek."}\n'
ALSO_GOOD = '{"question":"Who are you?","response":"I am OneSeek."}\n'


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    for name in ("basemodeller", "oneseek-certified", ".staging"):
        (tmp_path / "claim" / name).mkdir(parents=True)
    return tmp_path / "claim"


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    """Where a ConfigMap is mounted: files are links to links, as the kubelet makes them."""
    folder = tmp_path / "mount"
    (folder / "..2026").mkdir(parents=True)
    (folder / "..data").symlink_to("..2026")
    (folder / "rows.jsonl").symlink_to("..data/rows.jsonl")
    return folder / "rows.jsonl"


def from_config_map(file: Path, name: str = "oneseek_identity_v1", **changes: object) -> dict[str, Any]:
    source = {"configMap": {"name": "identity", "key": "rows.jsonl"}}
    return {"dataset": {"name": name, "source": source} | changes, "file": str(file)}


def prepare(claim: Path, *datasets: dict[str, Any], language: str = "auto", **changes: object) -> PrepareReport:
    asked = {
        "run": RUN,
        "specDigest": SPEC_DIGEST,
        "modelsRoot": str(claim),
        "datasets": list(datasets),
        "language": language,
    }
    return job.run(environment(asked | changes))


def refusal(claim: Path, *datasets: dict[str, Any], reason: str, code: int = ExitCode.BAD_INPUT) -> str:
    with pytest.raises(JobError) as raised:
        prepare(claim, *datasets)
    assert (raised.value.reason, raised.value.exit_code) == (reason, code)
    assert not (claim / ".staging" / RUN["uid"] / "data" / "train.jsonl").exists()
    return raised.value.message


def test_rows_are_normalised_counted_digested_and_reported(claim: Path, mount: Path) -> None:
    text = GOOD + "\n" + ALSO_GOOD + GOOD
    mount.write_text(text)
    report = prepare(claim, from_config_map(mount))
    train = claim / ".staging" / RUN["uid"] / "data" / "train.jsonl"
    rows = [json.loads(line) for line in train.read_text().splitlines()]
    said = [[turn["content"] for turn in row["messages"]] for row in rows]
    assert said[0] == said[2] == ["Vem är du?", "Jag är OneSeek."]  # duplicates stay
    assert said[1] == ["Who are you?", "I am OneSeek."]
    assert report == PrepareReport.model_validate(
        {
            "datasets": [{"name": "oneseek_identity_v1", "digest": digest_bytes(text.encode()), "rows": 3}],
            "dataDigest": digest_bytes(train.read_bytes()),
            "samples": 3,
            "language": "ensv",
            "tags": ["Identity"],
        }
    )
    assert json.loads((train.parent / "prepare_report.json").read_text()) == report.to_wire()
    assert sorted(child.name for child in train.parent.iterdir()) == ["prepare_report.json", "train.jsonl"]
    assert sorted(child.name for child in train.parents[1].iterdir()) == ["adapter", "data", "scores"]


def test_datasets_are_joined_in_the_specs_order(claim: Path, tmp_path: Path) -> None:
    (tmp_path / "one").write_text(GOOD)
    (tmp_path / "two").write_text(ALSO_GOOD)
    report = prepare(
        claim, from_config_map(tmp_path / "two", "civic_qa"), from_config_map(tmp_path / "one", "identity")
    )
    lines = (claim / ".staging" / RUN["uid"] / "data" / "train.jsonl").read_text().splitlines()
    assert [json.loads(line)["messages"][0]["content"] for line in lines] == ["Who are you?", "Vem är du?"]
    assert [(dataset.name, dataset.rows) for dataset in report.datasets] == [("civic_qa", 1), ("identity", 1)]
    assert report.tags == ["CivicID", "Identity", "QA"]


def test_the_shipped_identity_set_is_bilingual(claim: Path) -> None:
    report = prepare(claim, from_config_map(REPOSITORY / "datasets" / "oneseek_identity_v1.jsonl"))
    assert (report.language, report.tags) == ("ensv", ["Identity"])
    assert report.samples >= 120


def test_a_language_of_the_spec_is_not_second_guessed(claim: Path, mount: Path) -> None:
    mount.write_text(GOOD)
    assert prepare(claim, from_config_map(mount), language="en").language == "en"


def test_preparing_again_gives_the_same_bytes(claim: Path, mount: Path) -> None:
    mount.write_text(GOOD + ALSO_GOOD)
    first = prepare(claim, from_config_map(mount))
    before = tree_of(claim)
    assert prepare(claim, from_config_map(mount)) == first
    assert tree_of(claim) == before


def test_other_runs_staging_is_removed_and_the_runs_own_adapter_stays(claim: Path, mount: Path) -> None:
    mount.write_text(GOOD)
    for name in ("other-uid/adapter", f"{RUN['uid']}/adapter"):
        (claim / ".staging" / name).mkdir(parents=True)
        (claim / ".staging" / name / "checkpoint").write_text("x")
    (claim / ".staging" / "stray").write_text("x")
    prepare(claim, from_config_map(mount))
    assert [child.name for child in (claim / ".staging").iterdir()] == [RUN["uid"]]
    assert (claim / ".staging" / RUN["uid"] / "adapter" / "checkpoint").exists()


def test_a_byte_order_mark_and_windows_line_ends_are_read(claim: Path, mount: Path) -> None:
    mount.write_bytes(b"\xef\xbb\xbf" + (GOOD + ALSO_GOOD).replace("\n", "\r\n").encode())
    assert prepare(claim, from_config_map(mount)).samples == 2


@pytest.mark.parametrize(
    ("data", "sentences"),
    [
        pytest.param(
            (GOOD + "\n" + "question,answer\n" + ALSO_GOOD).encode(),
            ["dataset oneseek_identity_v1, line 3: it is not JSON", "write one object a line"],
            id="csv-in-line-3",
        ),
        pytest.param(
            (GOOD * 2 + '{"instruction":"a"}\n' + GOOD + "{\n" + "[]\n").encode(),
            ["line 3: it has no output (or response)", "(wrong too: line 5, 6; 3 in all)"],
            id="all-bad-lines-are-named",
        ),
        pytest.param(b"{\n" * 30, ["line 1: ", "11 and more; 30 in all"], id="many-bad-lines"),
        pytest.param(GOOD.encode("latin-1"), ["line 1: it is not UTF-8", "save the file as UTF-8"], id="latin-1"),
        pytest.param(b"", ["dataset oneseek_identity_v1 holds no rows: give it at least one line"], id="empty"),
        pytest.param(b"\n \n", ["holds no rows"], id="only-blank-lines"),
        pytest.param(b"\x00\xff\xfd", ["line 1: it is not UTF-8"], id="binary"),
    ],
)
def test_bad_data_is_refused_by_line(claim: Path, mount: Path, data: bytes, sentences: list[str]) -> None:
    mount.write_bytes(data)
    message = refusal(claim, from_config_map(mount), reason=names.DATASET_INVALID)
    for sentence in sentences:
        assert sentence in message


def test_a_file_without_line_ends_is_refused_before_it_fills_the_memory(
    claim: Path, mount: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LONGEST", 1024**2)
    mount.write_bytes(GOOD.encode() + b"x" * (1024**2 + 1))
    message = refusal(claim, from_config_map(mount), reason=names.DATASET_INVALID)
    assert "dataset oneseek_identity_v1, line 2: it is longer than 1 MiB" in message


def test_a_file_beyond_the_bound_is_refused_unread(claim: Path, tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as handle:
        handle.truncate(sources.LARGEST + 1)  # a hole: takes no room
    message = refusal(claim, from_config_map(tmp_path / "large"), reason=names.DATASET_INVALID)
    assert "1 GiB) is the most: split it" in message


def test_a_pinned_digest_must_fit(claim: Path, mount: Path) -> None:
    mount.write_text(GOOD)
    actual = digest_bytes(GOOD.encode())
    assert prepare(claim, from_config_map(mount, digest=actual)).samples == 1
    message = refusal(
        claim,
        from_config_map(mount, digest=SPEC_DIGEST),
        reason=names.DATASET_DIGEST_DIFFERS,
        code=ExitCode.DIGEST_DIFFERS,
    )
    assert actual in message
    assert SPEC_DIGEST in message


def on_claim(path: str) -> dict[str, Any]:
    return {"dataset": {"name": "local", "source": {"path": path}}}


def test_a_file_on_the_claim_is_read_through_links_that_stay_on_it(claim: Path) -> None:
    (claim / "data").mkdir()
    (claim / "data" / "v1.jsonl").write_text(GOOD)
    (claim / "data" / "latest.jsonl").symlink_to("v1.jsonl")
    assert prepare(claim, on_claim("data/latest.jsonl")).samples == 1


def nothing(_claim: Path) -> None:
    """Leave the claim as it is."""


def a_link_out(claim: Path) -> None:
    (claim / "data").symlink_to("/etc")


def a_folder(claim: Path) -> None:
    (claim / "data" / "passwd").mkdir(parents=True)


@pytest.mark.parametrize(
    ("make", "reason", "sentence"),
    [
        pytest.param(nothing, names.DATASET_NOT_FOUND, "path data/passwd on the claim does not exist", id="missing"),
        pytest.param(a_link_out, names.DATASET_INVALID, "path data/passwd leads out of the claim", id="link-out"),
        pytest.param(a_folder, names.DATASET_INVALID, "is a folder; name the JSONL file in it", id="folder"),
    ],
)
def test_a_path_that_cannot_be_used_is_refused(
    claim: Path, make: Callable[[Path], None], reason: str, sentence: str
) -> None:
    make(claim)
    assert f"dataset local: {sentence}" in refusal(claim, on_claim("data/passwd"), reason=reason).replace(
        "path data/passwd on the claim is", "is"
    )


def test_a_path_that_climbs_is_refused_by_its_form(claim: Path) -> None:
    with pytest.raises(JobError) as raised:
        prepare(claim, on_claim("../etc/passwd"))
    assert raised.value.exit_code == ExitCode.BAD_REQUEST


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        pytest.param(
            {"configMap": {"name": "identity", "key": "rows"}},
            "dataset d: key rows of ConfigMap identity does not exist",
            id="config-map",
        ),
        pytest.param(
            {"image": {"reference": "registry/data:1", "path": "rows.jsonl"}},
            "dataset d: image registry/data:1 does not exist",
            id="image",
        ),
    ],
)
def test_a_mount_without_the_file_is_not_found(claim: Path, tmp_path: Path, source: Any, sentence: str) -> None:
    item = {"dataset": {"name": "d", "source": source}, "file": str(tmp_path / "missing")}
    assert sentence in refusal(claim, item, reason=names.DATASET_NOT_FOUND)


def certify_once(claim: Path, staging: Path, **changes: object) -> Any:
    stage_adapter(staging)
    return certify_job.run(environment(certify_request(staging, claim / "oneseek-certified", **changes))).version


def test_a_run_that_was_certified_before_is_recognised_and_nothing_is_touched(claim: Path, tmp_path: Path) -> None:
    version = certify_once(claim, tmp_path / "staging")
    (claim / ".staging" / "other").mkdir()
    before = sorted(claim.rglob("*"))
    report = prepare(claim, on_claim("gone.jsonl"), run=RUN | {"uid": "uid-after-a-disaster"})
    assert report == PrepareReport(already_certified=version)
    assert report.already_certified is not None
    manifest = claim / "oneseek-certified" / version.dna / names.MANIFEST
    assert report.already_certified.digest == digest_bytes(manifest.read_bytes())
    assert sorted(claim.rglob("*")) == before


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"run": RUN | {"name": "other"}}, id="other-name"),
        pytest.param({"run": RUN | {"namespace": "other"}}, id="other-namespace"),
        pytest.param({"specDigest": "sha256:" + "6" * 64}, id="other-spec"),
    ],
)
def test_another_run_is_prepared(claim: Path, mount: Path, tmp_path: Path, change: dict[str, object]) -> None:
    certify_once(claim, tmp_path / "staging")
    mount.write_text(GOOD)
    assert prepare(claim, from_config_map(mount), **change).samples == 1


def test_a_half_made_version_is_not_recognised(claim: Path, mount: Path, tmp_path: Path) -> None:
    version = certify_once(claim, tmp_path / "staging")
    home = claim / "oneseek-certified" / version.dna
    home.rename(home.with_name(".incoming-x"))
    mount.write_text(GOOD)
    assert prepare(claim, from_config_map(mount)).already_certified is None


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[hub.Server]:
    folder = tmp_path / "hub" / "datasets" / "owner" / "rows"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "train.jsonl").write_text(GOOD)
    monkeypatch.setattr(client, "_WAITS", (0.0,))
    with hub.running(tmp_path / "hub") as running:
        monkeypatch.setattr(client, "_PUBLIC", running.endpoint)
        yield running


def on_hub(**changes: object) -> dict[str, Any]:
    source = {"huggingFace": {"repo": "owner/rows", "file": "data/train.jsonl"} | changes}
    return {"dataset": {"name": "remote", "source": source}}


def test_a_file_of_a_dataset_repository_is_fetched(claim: Path, server: hub.Server) -> None:
    report = prepare(claim, on_hub())
    assert report.datasets[0].digest == digest_bytes(GOOD.encode())
    assert not [line for line in server.seen if "/models/" in line]
    assert sorted(child.name for child in (claim / ".staging" / RUN["uid"] / "data").iterdir()) == [
        "prepare_report.json", "train.jsonl",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param({"file": "none.jsonl"}, "holds no file none.jsonl", id="file"),
        pytest.param({"repo": "owner/none"}, "knows no owner/none", id="repository"),
        pytest.param({"revision": "v9"}, "owner/rows at v9 does not exist", id="revision"),
    ],
)
def test_what_the_hub_does_not_have_is_not_found(
    claim: Path, server: hub.Server, changes: dict[str, object], sentence: str
) -> None:
    message = refusal(claim, on_hub(**changes), reason=names.DATASET_NOT_FOUND)
    assert message.startswith("dataset remote cannot be fetched: ")
    assert sentence in message


def test_a_hub_that_is_down_is_unavailable(claim: Path, server: hub.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub.HubHandler, "answer", lambda self: self.send(hub.HTTPStatus.BAD_GATEWAY, b"", {}))
    message = refusal(claim, on_hub(), reason=names.DATASET_UNAVAILABLE, code=ExitCode.UNAVAILABLE)
    assert "HTTP 502" in message
    assert len(server.seen) == 0 or len(server.seen) <= 2
