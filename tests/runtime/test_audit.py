"""What the security audit of 69e4700 tried, and succeeded with there, is refused: by the sentences that it is meant to be."""

from __future__ import annotations

import pytest

from support.audit.attempts import ATTEMPTS, ROOT, make
from support.audit.document import in_document

REFUSED_BY = {
    "error-text": "is not one word of printable ASCII",
    "drain": "401",
    "previous": "401",
    "swap": "401",
    "unload": "the engine listens on 127.0.0.1",
    "olora": "adapter_config.json has init_lora_weights 'olora'",
    "base": "model.safetensors does not hold the bytes that were imported",
    "service": "the Service 'zero' is there already",
    "claim": "the PersistentVolumeClaim 'zero-models' is there already",
    "bomb": "answered with a packed body, which nobody asked for",
    "redirect": "answered 307",
    "secret": "editor may not get the Secret somebody-elses",
    "injector": "'sidecar.istio.io/inject': 'false'",
    "ledger": "it ends before that",
}


@pytest.mark.parametrize("group", dict.fromkeys(attempt.group for attempt in ATTEMPTS))
def test_each_attempt_of_the_audit_is_refused_for_its_reason(group: str) -> None:
    found = make(ROOT, [attempt for attempt in ATTEMPTS if attempt.group == group])
    assert {name: outcome.result for name, outcome in found.items()} == dict.fromkeys(found, "refused"), found
    assert [(name, one.seen) for name, one in found.items() if REFUSED_BY[name] not in one.seen] == []


def test_the_document_tells_of_each_attempt_that_it_succeeded_and_is_refused() -> None:
    rows = in_document()
    assert [(row[0], row[1]) for row in rows] == [(attempt.finding, attempt.tries) for attempt in ATTEMPTS]
    assert [row for row in rows if not (row[2].startswith("**succeeded**") and row[3].startswith("**refused**"))] == []


def test_the_tests_that_keep_it_so_are_there() -> None:
    assert [path for attempt in ATTEMPTS for path in attempt.kept_by if not (ROOT / path).is_file()] == []
