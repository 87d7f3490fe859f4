"""The records service as its clients see it: a real process, over loopback."""

from __future__ import annotations

import base64
import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from oneseek_core.checkpoint import VerifierKey, parse_note
from oneseek_core.ledger import parse_block
from oneseek_core.merkle import leaf_hash, verify_consistency, verify_inclusion
from oneseek_core.roles import Role
from oneseek_runtime.records.signing import is_signed_by
from support.access import TOKENS
from support.asgi import free_port, runtime, wait_for_port
from support.ledgers import transition
from support.records import EVENT, TRAINED, Client, Place, Refused, query, start_and_fail, trained


def test_a_transition_is_recorded_once_and_its_block_can_be_proved(place: Place) -> None:
    with place.service():
        client = place.client()
        told = client.call("POST", "/v1/transitions", {"transitions": [transition("a").to_wire()]})
        (block,) = told["blocks"]
        assert (block["idempotencyKey"], block["blockNumber"], block["appended"]) == ("a", 1, True)
        assert client.append("a") == [{**block, "appended": False}]
        assert told["head"] == client.call("GET", "/v1/head")
        assert (told["head"]["height"], told["head"]["head"], told["head"]["signed"]) == (2, block["hash"], True)
        client.append(*(f"k{number}" for number in range(40)))
        head = client.call("GET", "/v1/head")
        proof = client.call("GET", "/v1/proof/inclusion?number=1")
        line = client.copy()[1]
        path = [bytes.fromhex(one) for one in proof["path"]]
        assert verify_inclusion(leaf_hash(line), 1, 42, path, bytes.fromhex(head["root"]))
        proof = client.call("GET", "/v1/proof/consistency?from=2")
        assert verify_consistency(
            2, 42, bytes.fromhex(told["head"]["root"]), bytes.fromhex(head["root"]),
            [bytes.fromhex(one) for one in proof["path"]],
        )  # fmt: skip
        checkpoint, _, _ = parse_note(head["checkpoint"])
        assert (checkpoint.size, checkpoint.head) == (42, head["head"])
        assert base64.b64encode(bytes.fromhex(head["root"])).decode() in head["checkpoint"]
        key = next(json.loads(row)["verifierKey"] for row in place.log.read_text().splitlines() if "signing" in row)
        assert is_signed_by(head["checkpoint"], [VerifierKey.parse(key)])
        client.audited()


def test_what_a_later_operator_or_sidecar_sends_besides_is_passed_over(place: Place) -> None:
    later = {"fieldOfALaterRelease": {"a": 1}}
    with place.service():
        client = place.client()
        sent = {"transitions": [transition("a").to_wire() | later]} | later
        assert client.call("POST", "/v1/transitions", sent)["blocks"][0]["appended"] is True
        assert client.append("a")[0]["appended"] is False, "it is the same transition"
        client.call("POST", "/v1/queries", {"queries": [query("q") | later]} | later)
        lesson = {
            "trainingId": "t",
            "timestamp": "2026-01-01T00:00:00.000Z",
            "question": "q",
            "language": "sv",
            "rawResponses": [{"model": "m", "response": "r"}],
        } | later
        client.call("POST", "/v1/questions", lesson)
        assert b"fieldOfALaterRelease" not in b"".join(client.copy())


def test_a_batch_is_recorded_as_a_whole_or_not_at_all(place: Place) -> None:
    with place.service():
        client = place.client()
        client.append("a")
        sent = [transition("b").to_wire(), transition("a", reason="another").to_wire(), transition("c").to_wire()]
        with pytest.raises(Refused) as refused:
            client.call("POST", "/v1/transitions", {"transitions": sent})
        assert (refused.value.status, refused.value.body["reason"]) == (409, "IdempotencyConflict")
        assert refused.value.body["message"] == "'a' already stands in block 1 with another content"
        assert [block["blockNumber"] for block in client.append("c", "b", "c")] == [2, 3, 2]
        client.audited()


def test_queries_are_kept_with_their_ledger_blocks_and_listed_as_the_old_service_did(place: Place) -> None:
    with place.service():
        client = place.client()
        sent = {"queries": [query("q1", question="ö" * 101), query("q2")]}
        first = client.call("POST", "/v1/queries", sent)["blocks"]
        assert [one["queryId"] for one in first] == ["q1", "q2"]
        assert [one["appended"] for one in client.call("POST", "/v1/queries", sent)["blocks"]] == [False, False]
        found = client.call("GET", "/v1/queries?limit=7")
        assert found["count"] == 2
        newest = found["queries"][0]
        assert (newest["id"], newest["queryId"], newest["confidence"]) == ("q2", "q2", 0.91)
        assert newest["createdAt"] == newest["updatedAt"] == {"_seconds": 1764504000, "_nanoseconds": 250000000}
        data = parse_block(client.audited()[1]).data
        assert list(data.items()) == [
            ("type", "query"),
            (
                "content",
                {"queryId": "q1", "question": "ö" * 100 + "...", "modelVersion": query("q1")["query"]["version"]},
            ),
            ("timestamp", "2025-11-30T12:00:00.250Z"),
        ]
        # A cut emoji must not stop a spool for ever.
        client.call("POST", "/v1/queries", {"queries": [query("q3", question="\ud83d?")]})
        stats = client.call("GET", "/v1/stats")
        assert (stats["totalBlocks"], stats["typeBreakdown"]) == (4, {"genesis": 1, "query": 3})
        assert stats["latestBlock"]["blockNumber"] == 3


def test_training_events_and_metrics_are_kept_once_with_a_block_or_without(place: Place) -> None:
    with place.service():
        client = place.client()
        plain = trained("m2", training=None, documents={"oqt_training_events": EVENT})
        sent = {"entries": [trained("m1"), plain, plain]}
        first = client.call("POST", "/v1/entries", sent)["blocks"]
        assert [(one["id"], one["blockNumber"], one["appended"]) for one in first] == [
            ("m1", 1, True),
            ("m2", None, True),
            ("m2", None, False),
        ]
        again = client.call("POST", "/v1/entries", sent)["blocks"]
        assert [one["appended"] for one in again] == [False, False, False]
        events = client.call("GET", "/v1/documents/oqt_training_events")
        assert [one["id"] for one in events["documents"]] == ["m2", "m1"]
        assert events["documents"][0] == {
            **EVENT, "id": "m2", "timestamp": {"_seconds": 1764504000, "_nanoseconds": 250000000},
        }  # fmt: skip
        assert client.call("GET", "/v1/documents/oqt_metrics?limit=5")["count"] == 1
        assert client.call("GET", "/v1/documents/oqt_provenance")["documents"] == []
        data = parse_block(client.audited()[1]).data
        assert list(data.items()) == [("type", "training"), ("content", TRAINED), ("timestamp", EVENT["timestamp"])]
        for changed in (trained("m2"), {**plain, "documents": {"oqt_training_events": {**EVENT, "question": "?"}}}):
            with pytest.raises(Refused) as refused:
                client.call("POST", "/v1/entries", {"entries": [trained("m3"), changed]})
            assert (refused.value.status, refused.value.body["reason"]) == (409, "IdempotencyConflict")
        assert len(client.audited()) == 2, "a refused batch leaves nothing"
        assert client.call("GET", "/v1/documents/oqt_metrics")["count"] == 1


def test_documents_are_only_taken_whole(place: Place) -> None:
    with place.service():
        for entry, part in (
            (trained("m1", documents={}), "has no document"),
            (trained("m1", documents={"oqt_ledger": {}}), "oqt_training_events"),
            (trained("m1", documents={"oqt_metrics": {"timestamp": "today"}}), "timestamp of m1 in oqt_metrics"),
            (trained("", ), "at least 1 character"),
        ):  # fmt: skip
            with pytest.raises(Refused, match=part) as refused:
                place.client().call("POST", "/v1/entries", {"entries": [entry]})
            assert refused.value.status == 400
        with pytest.raises(Refused, match="there is no collection 'oqt_ledger'"):
            place.client().call("GET", "/v1/documents/oqt_ledger")


def test_verification_and_pages_of_blocks(place: Place) -> None:
    with place.service():
        client = place.client()
        client.append(*(f"k{number}" for number in range(150)))
        assert client.call("GET", "/v1/verify") == {
            "valid": True, "totalBlocks": 151, "verifiedBlocks": 151, "invalidBlocks": [], "integrity": 100,
        }  # fmt: skip
        page = client.call("GET", "/v1/blocks?from=148&limit=2")
        assert ([block["blockNumber"] for block in page["blocks"]], page["height"]) == ([148, 149], 151)
        assert page["blocks"][0]["data"]["content"]["actor"] == {"name": "åsa@example.org", "verified": True}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "reason", "part"),
    [
        pytest.param("GET", "/v1/nothing", None, 404, "NotFound", "no such path", id="unknown path"),
        pytest.param("GET", "/v1/proof/inclusion", None, 400, "BadRequest", "number must be", id="no number"),
        pytest.param("GET", "/v1/proof/inclusion?number=9", None, 400, "BadRequest", "no entry 9", id="no such block"),
        pytest.param("GET", "/v1/proof/consistency?from=2", None, 400, "BadRequest", "from size 2", id="no such size"),
        pytest.param("GET", "/v1/blocks?from=-1", None, 400, "BadRequest", "from must be", id="negative"),
        pytest.param("POST", "/v1/transitions", {}, 400, "BadRequest", "transitions: Field required", id="no list"),
        pytest.param("POST", "/v1/transitions", {"transitions": []}, 400, "BadRequest", "at least 1", id="empty list"),
        pytest.param(
            "POST", "/v1/transitions", {"transitions": [{**transition("a").to_wire(), "type": "bless"}]},
            400, "BadRequest", "transitions.0.type", id="unknown type",
        ),
        pytest.param(
            "POST", "/v1/transitions", {"transitions": [transition("a", timestamp="now").to_wire()]},
            400, "BadRequest", "'now' is not a time", id="no time",
        ),
        pytest.param("POST", "/v1/queries", {"queries": [query("")]}, 400, "BadRequest", "queryId", id="no query id"),
        pytest.param(
            "POST", "/v1/queries", {"queries": [query("q", createdAt=1)]}, 400, "BadRequest", "createdAt", id="times"
        ),
    ],
)  # fmt: skip
def test_a_bad_request_is_refused_with_a_sentence_and_changes_nothing(
    shared: Client, method: str, path: str, body: object, status: int, reason: str, part: str
) -> None:
    with pytest.raises(Refused) as refused:
        shared.call(method, path, body)
    assert (refused.value.status, refused.value.body["reason"]) == (status, reason)
    assert part in refused.value.body["message"]
    assert shared.call("GET", "/v1/head")["height"] == 1


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Client:
    place = Place.make(tmp_path_factory.mktemp("shared"))
    with place.service():
        yield place.client()


def test_only_health_is_open(place: Place) -> None:
    with place.service():
        client = place.client()
        assert client.call("GET", "/health", token="") == {"status": "ok"}
        right = TOKENS[Role.OPERATOR]
        for token in ("", right[:-1], right + "2"):
            with pytest.raises(Refused) as refused:
                client.call("GET", "/v1/head", token=token)
            assert (refused.value.status, refused.value.body["reason"]) == (401, "Unauthorized")
        assert client.call("GET", "/v1/head", token=right)["height"] == 1


def test_sigterm_ends_it_cleanly_and_everything_is_there_again(place: Place) -> None:
    with place.service() as process:
        place.client().append("a", "b")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert place.firestore or not (place.data / "records.sqlite3-wal").exists()
    with place.service():
        assert [one["appended"] for one in place.client().append("a", "c")] == [False, True]
        assert len(place.client().audited()) == 4


def test_two_processes_at_once_one_writes_and_the_other_says_why_not(on_disk: Place) -> None:
    with on_disk.service() as first:
        on_disk.client().append("a")
        sentence = start_and_fail(on_disk, lockWaitSeconds=0.5, port=0)
        assert sentence.startswith(f"Locked: {on_disk.data} is in use by process {first.pid} on ")
        assert on_disk.client().append("a")[0]["appended"] is False


def test_of_two_processes_started_at_the_same_moment_one_writes(on_disk: Place, tmp_path: Path) -> None:
    ports, logs = (free_port(), free_port()), (tmp_path / "one.log", tmp_path / "two.log")
    with ExitStack() as stack:
        both = [
            stack.enter_context(runtime("records", on_disk.environment(lockWaitSeconds=0.5, port=port), log))
            for port, log in zip(ports, logs, strict=True)
        ]
        deadline = time.monotonic() + 60
        while (ended := [process.poll() for process in both]).count(None) == 2:
            assert time.monotonic() < deadline, "both go on"
            time.sleep(0.02)
        loser = ended.index(1)
        writer = 1 - loser
        assert f"Locked: {on_disk.data} is in use by process {both[writer].pid} on " in logs[loser].read_text()
        wait_for_port(both[writer], ports[writer], logs[writer], within=30)
        client = Client(ports[writer])
        assert client.append("a")[0]["appended"] is True
        assert len(client.audited()) == 2
        client.close()


def test_a_second_process_that_waits_takes_over_when_the_first_dies(on_disk: Place) -> None:
    with on_disk.service() as first:
        on_disk.client().append("a")
        with open_waiting(on_disk) as process:
            first.kill()
            first.wait()
            deadline = time.monotonic() + 20
            while True:
                try:
                    assert on_disk.client().append("a", "b")[0]["appended"] is False
                    break
                except OSError:
                    assert process.poll() is None
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            on_disk.client().audited()
            process.terminate()
            assert process.wait(20) == 0


def open_waiting(place: Place) -> subprocess.Popen[bytes]:
    log = place.folder / "second.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "oneseek_runtime", "records"],
            env=place.process_environment(),
            stdout=output,
        )
    deadline = time.monotonic() + 30
    while b'"waiting"' not in log.read_bytes():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


@pytest.mark.parametrize(
    ("statement", "part"),
    [
        pytest.param("DELETE FROM blocks WHERE number = 2", "holds block 3 where block 2 belongs", id="deleted"),
        pytest.param("DELETE FROM blocks WHERE number = 3", "the checkpoint at 4 saw blocks that are not", id="cut"),
        pytest.param("DELETE FROM checkpoints", "4 blocks, but the last checkpoint saw 0", id="no checkpoint"),
        pytest.param(
            "UPDATE blocks SET line = replace(line, 'Serving', 'serving') WHERE number = 1",
            "block 1 does not have its hash",
            id="changed",
        ),
    ],
)
def test_a_tampered_file_is_not_appended_to(on_disk: Place, statement: str, part: str) -> None:
    with on_disk.service() as process:
        on_disk.client().append("a", "b", "c")
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    connection = sqlite3.connect(on_disk.data / "records.sqlite3", isolation_level=None)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute("DELETE FROM blocks")
    for trigger in ("blocks_are_never_changed", "blocks_are_never_deleted"):
        connection.execute(f"DROP TRIGGER {trigger}")
    connection.execute(statement)
    connection.close()
    sentence = start_and_fail(on_disk, port=0)
    assert sentence.startswith("LedgerBroken: ")
    assert part in sentence


def test_another_key_than_the_last_checkpoints_is_refused_unless_the_old_one_is_trusted(place: Place) -> None:
    with place.service():
        place.client().append("a")
        old = next(json.loads(row)["verifierKey"] for row in place.log.read_text().splitlines() if "signing" in row)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (place.folder / "key").write_bytes(pem)
    assert "signed by none of the keys" in start_and_fail(place, port=0)
    with place.service(trustedCheckpointKeys=[old]):
        place.client().append("b")
        place.client().audited()


def test_without_a_key_checkpoints_are_unsigned_and_a_key_can_come_later(place: Place) -> None:
    with place.service(checkpointKeyFile=None):
        place.client().append("a")
        assert place.client().call("GET", "/v1/head")["signed"] is False
    with place.service():
        place.client().append("b")
        assert place.client().call("GET", "/v1/head")["signed"] is True


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        pytest.param({"accepted": None}, "BadSettings: ONESEEK_RECORDS does not fit", id="no token"),
        pytest.param({"port": None}, "one of port and tlsPort must be given", id="no port"),
        pytest.param({"checkpointKeyFile": "/nowhere"}, "BadSettings: the checkpoint key /nowhere", id="no key"),
        pytest.param({"model": ""}, "BadSettings: ONESEEK_RECORDS does not fit", id="no model"),
        pytest.param({"dataPath": "/proc/nowhere"}, "UnsuitableVolume: ", id="no folder"),
        pytest.param({"dataPath": None}, "exactly one of dataPath and firestore", id="no place"),
        pytest.param({"trustedCheckpointKeys": ["x"]}, "BadSettings: 'x' is not", id="no verifier key"),
    ],
)
def test_settings_that_make_no_sense_end_it_with_a_sentence(
    on_disk: Place, changes: dict[str, object], part: str
) -> None:
    assert part in start_and_fail(on_disk, **changes)


def test_a_key_of_another_kind_is_refused(on_disk: Place) -> None:
    pem = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (on_disk.folder / "key").write_bytes(pem)
    assert "is no Ed25519 key" in start_and_fail(on_disk)


def test_a_file_that_is_no_database_is_refused(on_disk: Place) -> None:
    on_disk.data.mkdir()
    (on_disk.data / "records.sqlite3").write_bytes(b"nothing of ours" * 100)
    assert start_and_fail(on_disk).startswith("LedgerBroken: the records file is damaged")


def test_nothing_of_the_folder_is_readable_by_others_but_through_the_service(on_disk: Place) -> None:
    with on_disk.service():
        assert Path(on_disk.data / "records.lock").stat().st_mode & 0o077 == 0
