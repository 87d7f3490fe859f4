"""Records in Firestore where it goes wrong: away, slow, refused, written by two, written by others, or tampered with.

The server is the emulator of the Google Cloud SDK. It checks no credentials, so what Firestore says to wrong ones is
said by a small gRPC server here, with the status codes of Google's API.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from support.firestore import Emulator
from support.ledgers import transition
from support.recording import Load, entered, pod, recorded, until
from support.records import Place, Refused, by_key, query, start_and_fail, trained
from support.wire import Wire, wire

AWAY_SECONDS = 60 if int(os.environ.get("ONESEEK_PROVE_COUNT") or "5") >= 100 else 2


@pytest.fixture
def line(firestore: Emulator) -> Iterator[Wire]:
    """The way to the emulator, to be cut."""
    with wire(firestore.port) as whole:
        yield whole


@pytest.fixture
def far(in_firestore: Place, line: Wire) -> Place:
    """Records in a Firestore that is reached by that way alone."""
    assert in_firestore.firestore
    in_firestore.firestore |= {"emulatorHost": f"127.0.0.1:{line.port}", "deadlineSeconds": 3}
    return in_firestore


def rest(place: Place, emulator: Emulator, path: str, method: str = "GET", body: Any = None) -> Any:
    """What the emulator itself says of a document."""
    assert place.firestore
    base = f"http://{emulator.host}/v1/projects/{place.firestore['projectId']}/databases/(default)/documents"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{base}/{path}", data, {"Authorization": "Bearer owner", "Content-Type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def second_service(place: Place) -> Place:
    """Another process on the same records, as two pods that overlap."""
    (place.folder / "other").mkdir()
    other = Place.make(place.folder / "other")
    other.firestore = place.firestore
    (other.folder / "key").write_bytes((place.folder / "key").read_bytes())
    return other


def until_true(what: Callable[[], bool], within: float = 60) -> None:
    deadline = time.monotonic() + within
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def attempt(place: Place, *keys: str) -> list[dict[str, Any]] | None:
    """The blocks, or None while the service cannot."""
    try:
        return place.client().append(*keys)
    except Refused as refused:
        if refused.status not in (503, 504):
            raise
        return None


def test_documents_are_those_of_the_old_service_with_the_block_number_as_id(
    in_firestore: Place, firestore: Emulator
) -> None:
    with in_firestore.service():
        client = in_firestore.client()
        client.call("POST", "/v1/queries", {"queries": [query("q1")]})
        client.call("POST", "/v1/entries", {"entries": [trained("m1")]})
        line = json.loads(client.copy()[1])
    block = rest(in_firestore, firestore, "oqt_ledger/1")["fields"]
    assert block["blockNumber"] == {"integerValue": "1"}
    assert block["previousHash"] == {"stringValue": line["previousHash"]}
    assert block["hash"] == {"stringValue": line["hash"]}
    assert block["nonce"] == {"integerValue": "0"}
    assert block["timestamp"] == {"stringValue": line["timestamp"]}, "the text that was hashed"
    assert block["data"]["mapValue"]["fields"]["type"] == {"stringValue": "query"}
    content = block["data"]["mapValue"]["fields"]["content"]["mapValue"]["fields"]
    assert set(content) == {"queryId", "question", "modelVersion"}
    asked = rest(in_firestore, firestore, "oqt_queries/q1")["fields"]
    assert asked["createdAt"] == asked["updatedAt"] == {"timestampValue": "2025-11-30T12:00:00.250Z"}
    assert asked["confidence"] == {"doubleValue": 0.91}
    assert asked["metadata"]["mapValue"]["fields"]["tokens"] == {"integerValue": "5"}
    assert rest(in_firestore, firestore, "oqt_provenance/q1")["fields"]["inputHash"] == {"stringValue": "00"}
    for path in ("oqt_training_events/m1", "oqt_metrics/m1"):
        assert "timestampValue" in rest(in_firestore, firestore, path)["fields"]["timestamp"]


def test_any_document_comes_back_as_it_was_sent_and_one_that_is_too_large_is_refused(in_firestore: Place) -> None:
    odd = {"lists": [[1, [2.5]], {"": None}], "deep": json.loads('{"a":' * 30 + "1" + "}" * 30), "large": 2**70}
    with in_firestore.service():
        client = in_firestore.client()
        for number, identity in enumerate(("a/b", "..", "__x__", "%2F", "ö" * 128)):
            sent = {"queries": [query(identity, metadata=odd)]}
            assert client.call("POST", "/v1/queries", sent)["blocks"][0]["appended"] is True
            assert client.call("POST", "/v1/queries", sent)["blocks"][0]["appended"] is False
            found = client.call("GET", "/v1/queries?limit=1")["queries"][0]
            assert (found["id"], found["metadata"]) == (identity, odd)
            assert client.call("GET", "/v1/head")["height"] == number + 2
        for changes, part in (
            ({"response": "x" * 1_000_001}, "larger than Firestore takes"),
            ({"__x__": 1}, "no name that a field can have"),
            ({"createdAt": "2025-13-30T12:00:00.000Z"}, "no time that a calendar has"),
        ):
            with pytest.raises(Refused, match=part) as refused:
                client.call("POST", "/v1/queries", {"queries": [query("q"), query("r", **changes)]})
            assert refused.value.status == 400
        many = [query(f"s{number}", response="x" * 900_000) for number in range(4)]
        with pytest.raises(Refused, match="send fewer") as refused:
            client.call("POST", "/v1/queries", {"queries": many})
        assert refused.value.status == 413
        assert len(client.audited()) == 6


def test_it_starts_while_firestore_is_away_says_so_and_goes_on_by_itself(far: Place, line: Wire) -> None:
    line.cut()
    with far.service():
        client = far.client()
        health = client.call("GET", "/health")
        assert health["status"] == "away"
        for method, path, body in (
            ("GET", "/v1/head", None),
            ("GET", "/v1/queries", None),
            ("POST", "/v1/transitions", {"transitions": [transition("a").to_wire()]}),
            ("GET", "/v1/verify", None),
            ("POST", "/v1/windows/due", {}),
        ):
            with pytest.raises(Refused) as refused:
                client.call(method, path, body)
            assert (refused.value.status, refused.value.body["reason"]) == (503, "FirestoreAway"), path
            assert f"project {far.firestore['projectId']} does not answer" in refused.value.body["message"]  # type: ignore[index]
        line.mend()
        until_true(lambda: client.call("GET", "/health") == {"status": "ok"})
        until_true(lambda: attempt(far, "a") is not None)
        assert sorted(by_key(client.audited())) == ["a"]


def test_in_an_outage_nothing_is_lost_or_doubled_and_what_is_known_is_still_told(far: Place, line: Wire) -> None:
    with far.service():
        client = far.client()
        until_true(lambda: attempt(far, "a") is not None)
        line.cut()
        with pytest.raises(Refused) as refused:
            client.append("b", "c")
        assert (refused.value.status, refused.value.body["reason"]) == (503, "FirestoreAway")
        assert client.call("GET", "/v1/head")["height"] == 2
        assert client.call("GET", "/v1/proof/inclusion?number=1")["size"] == 2
        assert client.call("GET", "/health")["status"] == "away"
        line.mend()
        until_true(lambda: attempt(far, "b", "c") is not None)
        assert [one["appended"] for one in client.append("b", "c")] == [False, False]
        assert client.call("GET", "/health") == {"status": "ok"}
        assert sorted(by_key(client.audited())) == ["a", "b", "c"]


def test_an_answer_that_takes_too_long_is_a_504_and_sending_it_again_records_nothing_twice(
    far: Place, line: Wire
) -> None:
    with far.service():
        client = far.client()
        until_true(lambda: attempt(far, "a") is not None)
        line.hang()
        began = time.monotonic()
        with pytest.raises(Refused) as refused:
            client.append("b")
        assert time.monotonic() - began < 6
        assert (refused.value.status, refused.value.body["reason"]) == (504, "FirestoreSlow")
        assert "did not answer within 3 s" in refused.value.body["message"]
        line.flow()
        until_true(lambda: attempt(far, "b") is not None)
        until_true(lambda: attempt(far, "b", "c") is not None)
        assert sorted(by_key(client.audited())) == ["a", "b", "c"]


def test_a_commit_whose_answer_is_lost_is_found_when_it_is_sent_again(
    in_firestore: Place,
) -> None:
    # What this service sees of it: the head is a later one, made by a commit that it gave up on.
    with in_firestore.service():
        other = second_service(in_firestore)
        in_firestore.client().append("a")
        with other.service():
            other.client().append("b", "c")
        assert [one["appended"] for one in in_firestore.client().append("b", "d")] == [False, True]
        assert sorted(by_key(in_firestore.client().audited())) == ["a", "b", "c", "d"]


def test_two_services_that_append_at_once_write_one_chain(in_firestore: Place) -> None:
    other = second_service(in_firestore)
    told: list[dict[str, Any]] = []

    def write(writer: int) -> None:
        client = (in_firestore, other)[writer % 2].client()
        for number in range(15):
            keys = (f"{writer}-{number}", f"both-{number}")
            while True:
                try:
                    told.extend(client.append(*keys))
                    break
                except Refused as refused:
                    if refused.body["reason"] not in ("Busy", "FirestoreSlow"):
                        raise

    with in_firestore.service(), other.service(), ThreadPoolExecutor(6) as pool:
        for one in [pool.submit(write, writer) for writer in range(6)]:
            one.result(120)
        for place in (in_firestore, other):
            place.client().append("last")
        first, second = (place.client().audited() for place in (in_firestore, other))
        assert first == second
        stands = by_key(first)
    assert len(stands) == 6 * 15 + 15 + 1
    made = [one["idempotencyKey"] for one in told if one["appended"]]
    assert sorted(made) == sorted(set(made)), "each was new for one of those that sent it"
    assert all(stands[one["idempotencyKey"]] == (one["blockNumber"], one["hash"]) for one in told)


class _Refusing(grpc.GenericRpcHandler):
    """Answers every call of Firestore's API with one status."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self.code, self.details = code, details

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def abort(_request: bytes, context: grpc.ServicerContext) -> bytes:
            context.abort(self.code, self.details)

        def abort_stream(_request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            context.abort(self.code, self.details)
            yield b""

        if handler_call_details.method.endswith("/BatchGetDocuments"):
            return grpc.unary_stream_rpc_method_handler(abort_stream)
        return grpc.unary_unary_rpc_method_handler(abort)


@contextmanager
def refusing(code: grpc.StatusCode, details: str) -> Iterator[tuple[int, Callable[[], None]]]:
    """(port, what stops it) of a server that refuses all."""
    server = grpc.server(ThreadPoolExecutor(2), handlers=(_Refusing(code, details),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port, lambda: server.stop(0).wait()
    finally:
        server.stop(0).wait()


@pytest.mark.parametrize(
    ("code", "reason", "part"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "CredentialsRefused", "refuses the credentials (Unauthenticated)"),
        (grpc.StatusCode.PERMISSION_DENIED, "CredentialsRefused", "the role roles/datastore.user"),
        (grpc.StatusCode.NOT_FOUND, "FirestoreAway", "does not exist; create it"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "FirestoreAway", "a quota is used up"),
        (grpc.StatusCode.INTERNAL, "FirestoreAway", "does not answer (InternalServerError)"),
    ],
    ids=lambda value: value.name if isinstance(value, grpc.StatusCode) else "",
)
def test_what_firestore_refuses_is_said_and_is_over_once_it_stops(
    in_firestore: Place, firestore: Emulator, code: grpc.StatusCode, reason: str, part: str
) -> None:
    assert in_firestore.firestore
    with refusing(code, "as Google says") as (port, stop), wire(port) as line:
        in_firestore.firestore |= {"emulatorHost": f"127.0.0.1:{line.port}"}
        with in_firestore.service():
            client = in_firestore.client()
            with pytest.raises(Refused) as refused:
                client.append("a")
            assert (refused.value.status, refused.value.body["reason"]) == (503, reason)
            assert part in refused.value.body["message"]
            line.cut()
            stop()
            line.retarget(firestore.port)
            line.mend()
            until_true(lambda: client.call("GET", "/health") == {"status": "ok"})
            assert client.append("a")[0]["appended"] is True


def test_missing_or_unreadable_credentials_are_named_with_what_to_do(in_firestore: Place, tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    in_firestore.firestore = {"projectId": "nowhere", "credentialsFile": str(file)}
    with in_firestore.service():
        client = in_firestore.client()
        with pytest.raises(Refused) as refused:
            client.append("a")
        assert (refused.value.status, refused.value.body["reason"]) == (503, "CredentialsRefused")
        assert (
            "cannot be read (No such file or directory); put a service account's key" in refused.value.body["message"]
        )
        file.write_text('{"type": "authorized_user"}')
        until_true(lambda: "no service account's key" in client.call("GET", "/health")["message"])


@pytest.mark.parametrize(
    ("path", "method", "fields", "part"),
    [
        pytest.param("oqt_ledger/2", "DELETE", None, "holds block 3 where block 2 belongs", id="deleted"),
        pytest.param("oqt_ledger/3", "DELETE", None, "the checkpoint at 4 saw blocks that are not", id="cut"),
        pytest.param("oneseek_ledger/head", "DELETE", None, "but no checkpoint over them", id="no checkpoint"),
        pytest.param("oqt_ledger/1", "PATCH", ("line", "{}"), "line is JSON, but not a block", id="changed line"),
        pytest.param("oqt_ledger/1", "PATCH", ("hash", "00"), "block 1 does not have its hash", id="changed field"),
        pytest.param("oqt_ledger/4", "PATCH", ("line", "{}"), "there is a block 4, but", id="added"),
    ],
)
def test_a_tampered_ledger_is_not_appended_to(
    in_firestore: Place, firestore: Emulator, path: str, method: str, fields: tuple[str, str] | None, part: str
) -> None:
    with in_firestore.service():
        client = in_firestore.client()
        client.append("a", "b", "c")
        body = fields and {"fields": {fields[0]: {"stringValue": fields[1]}}}
        mask = f"?updateMask.fieldPaths={fields[0]}" if fields else ""
        rest(in_firestore, firestore, path + mask, method, body)
        if path.startswith("oqt_ledger") and not path.endswith("4"):
            assert client.call("GET", "/v1/verify")["valid"] is False
    sentence = start_and_fail(in_firestore, port=0)
    assert sentence.startswith("LedgerBroken: ")
    assert part in sentence


def test_what_is_tampered_with_while_it_runs_ends_appending(in_firestore: Place, firestore: Emulator) -> None:
    with in_firestore.service():
        client = in_firestore.client()
        client.append("a", "b")
        rest(
            in_firestore,
            firestore,
            "oqt_ledger/1?updateMask.fieldPaths=hash",
            "PATCH",
            {"fields": {"hash": {"stringValue": "0" * 64}}},
        )
        (bad,) = client.call("GET", "/v1/verify")["invalidBlocks"]
        assert (bad["blockNumber"], bad["reason"]) == (1, "Hash mismatch")
        with pytest.raises(Refused) as refused:
            client.append("a")
        assert refused.value.body["reason"] == "LedgerBroken"
        with pytest.raises(Refused) as refused:
            client.append("c")
        assert (refused.value.status, refused.value.body["reason"]) == (503, "StoreFailed")
        with pytest.raises(Refused) as refused:
            client.call("GET", "/health")
        assert refused.value.status == 503


def test_a_database_with_the_ledger_of_another_model_is_refused(in_firestore: Place) -> None:
    with in_firestore.service():
        in_firestore.client().append("a")
    sentence = start_and_fail(in_firestore, port=0, model="other")
    assert sentence.startswith("Locked: ")
    assert "holds the ledger of oneseek.io/team/demo, not of oneseek.io/team/other" in sentence
    assert in_firestore.firestore
    in_firestore.firestore |= {"database": "second"}
    with in_firestore.service(model="other"):
        assert in_firestore.client().append("a")[0]["appended"] is True


def test_a_ledger_of_more_than_a_page_is_read_whole_after_a_restart(in_firestore: Place) -> None:
    with in_firestore.service():
        client = in_firestore.client()
        for start in range(0, 1500, 300):
            client.append(*(f"k{start + number}" for number in range(300)))
        sizes = len(client.call("GET", "/v1/checkpoints")["checkpoints"])
        assert sizes == 2, "one of the first span, and the newest"
        assert client.call("GET", "/v1/verify")["verifiedBlocks"] == 1501
    with in_firestore.service():
        assert in_firestore.client().append("k0", "new")[1]["blockNumber"] == 1501
        in_firestore.client().audited()


def test_the_old_ledger_without_checkpoints_is_left_alone(in_firestore: Place, firestore: Emulator) -> None:
    rest(in_firestore, firestore, "oqt_ledger/0", "PATCH", {"fields": {"blockNumber": {"integerValue": "0"}}})
    sentence = start_and_fail(in_firestore, port=0)
    assert "give this model a database of its own" in sentence


async def test_with_firestore_away_all_is_answered_and_every_entry_arrives_once(
    far: Place, line: Wire, tmp_path: Path
) -> None:
    (tmp_path / "pod").mkdir()
    async with pod(tmp_path / "pod") as place:
        place.records.firestore = far.firestore
        load = Load(place.url, rate=20)
        async with entered(place.sidecar()), entered(place.records.service()), load.running():
            await until(lambda: len(load.answered) > 20)
            await asyncio.to_thread(line.cut)
            before = len(load.answered)
            await asyncio.sleep(AWAY_SECONDS)
            answered = len(load.answered) - before
            assert answered > 0.5 * load.rate * AWAY_SECONDS, "nobody waits for Firestore"
            state: Any = await place.state()
            assert state.spooled >= answered, "the spool keeps them"
            await asyncio.to_thread(line.mend)
            await until(lambda: len(load.answered) > before + answered + 20)
            await load.end()
            state = await place.until_recorded(within=60 + AWAY_SECONDS)
            found = recorded(place.records.client().audited())
    assert load.failures == []
    assert state.lost == 0
    assert found == dict.fromkeys(load.answered, 1)
    print(f"proved: Firestore away for {AWAY_SECONDS} s: {len(found)} questions answered, 0 failed, each recorded once")
