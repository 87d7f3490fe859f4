from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from oneseek_core.api.crd import definitions
from oneseek_core.api.v1alpha1.common import Resources
from oneseek_runtime.plugin.lint.cel import RuleError, UnknownRuleError, holds
from oneseek_runtime.plugin.lint.items import Item, located
from oneseek_runtime.plugin.lint.judge import judge
from oneseek_runtime.plugin.lint.scalars import scalar
from oneseek_runtime.plugin.lint.yamlread import documents
from support.breaches import GOOD_OF_MODELS, GOOD_OF_RUNS, MODEL_BREACHES, RUN_BREACHES, changed, tuned_run
from support.makers import model_manifest, run_manifest
from support.plugin_objects import ONE, REPOSITORY, Cluster
from support.yaml_scalars import MEANINGS

MODEL = """\
apiVersion: oneseek.io/v1alpha1
kind: OneSeekModel
metadata:
  name: zero
spec:
  baseModel:
    name: tiny
    source:
      path: basemodeller/tiny
  storage:
    size: 1Gi
"""


@pytest.fixture
def cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.chdir(tmp_path)
    return Cluster(tmp_path, capsys)


def write(text: str, name: str = "a.yaml") -> str:
    """A file in the present folder."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)
    return name


def said(text: str) -> list[str]:
    """line: level: field: message of everything that is found in a text."""
    found = [problem for document in documents(text) for problem in document.problems]
    for document in documents(text):
        found += judge(document.item)[2] if document.item else []
    return [f"{one.line}: {one.level}: {one.where}: {one.message}" for one in sorted(found)]


# ---- it agrees with the API server


@pytest.mark.parametrize(("path", "value", "sentence"), MODEL_BREACHES)
def test_what_the_api_server_refuses_of_a_model_is_an_error(path: str, value: Any, sentence: str) -> None:
    _agrees(changed(model_manifest(), path, value), sentence)


@pytest.mark.parametrize(("path", "value", "sentence"), RUN_BREACHES)
def test_what_the_api_server_refuses_of_a_run_is_an_error(path: str, value: Any, sentence: str) -> None:
    _agrees(changed(run_manifest(), path, value), sentence)


def _agrees(manifest: dict[str, Any], sentence: str) -> None:
    problems = judge(located(manifest, 1))[2]
    told = [f"{one.where} {one.message}" for one in problems if one.level == "error"]
    # The API server's own words for unknown fields and for paths differ; ours name the same field.
    wanted = sentence.removeprefix('unknown field "').removesuffix('"')
    field, _, leaf = wanted.rpartition(".")
    assert any(wanted in text or (field in text and leaf in text) for text in told), told


GOOD = [model_manifest(), run_manifest()]
GOOD += [changed(GOOD[0], *good) for good in GOOD_OF_MODELS]
GOOD += [changed(GOOD[1], *good) for good in GOOD_OF_RUNS]


@pytest.mark.parametrize("manifest", GOOD)
def test_a_good_manifest_has_no_errors(manifest: dict[str, Any]) -> None:
    assert [one for one in judge(located(manifest, 1))[2] if one.level == "error"] == []


def test_what_tunes_a_pod_and_places_it_is_taken() -> None:
    assert [one for one in judge(located(tuned_run(), 1))[2] if one.level == "error"] == []


def test_every_rule_of_the_definitions_can_be_judged_here() -> None:
    def rules(schema: Any) -> list[str]:
        if isinstance(schema, list):
            return [rule for part in schema for rule in rules(part)]
        if not isinstance(schema, dict):
            return []
        own = [one["rule"] for one in schema.get("x-kubernetes-validations", []) if isinstance(one, dict)]
        return own + [rule for part in schema.values() for rule in rules(part)]

    found = [rule for rule in rules(list(definitions().values())) if "oldSelf" not in rule]
    assert len(found) > 8
    for rule in found:
        with contextlib.suppress(RuleError):  # an empty object has not what it asks for; the rule was understood
            holds(rule, {})


def test_the_examples_are_good(cluster: Cluster) -> None:
    folders = [str(REPOSITORY / "examples" / name) for name in ("quickstart", "certified", "between-clusters")]
    code, out, err = cluster("lint", *folders)
    assert (code, err) == (0, ""), out


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://api.example.org/v1", True),
        ("https://api.example.org/v1", False),
        ("http://other.team.svc/v1", False),
        ("http://other:8000/v1", False),
    ],
)
def test_a_key_that_would_leave_the_cluster_in_clear_is_pointed_out(url: str, told: bool) -> None:
    elsewhere = {"name": "GPT-X", "url": url, "model": "gpt-x", "keySecret": {"name": "keys"}}
    manifest = changed(model_manifest(), "spec.serving.externalModels", [elsewhere])
    found = [one.where for one in judge(located(manifest, 1))[2] if "in clear" in one.message]
    assert found == (["spec.serving.externalModels[0].url"] if told else [])


def test_a_whole_number_is_a_quantity_to_the_operator_too() -> None:
    assert Resources.model_validate({"limits": {"nvidia.com/gpu": 1}}).limits == {"nvidia.com/gpu": "1"}


# ---- CEL


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        ("self.a == 1 && self.b != 'x'", True),
        ("has(self.a) != has(self.c)", True),
        ("has(self.d.e)", True),
        ("has(self.d.f)", False),
        ("[has(self.a), has(self.c)].filter(set, set).size() == 1", True),
        ("self.l.all(x, x.startsWith('p'))", True),
        ("['10.0.0.0/8', 'fd00::/8', '10.1.2.3/8'].all(x, isCIDR(x))", True),
        ("['10.0.0.1', '10.0.0.0/33', 'fd00::1%eth0/64', '10.0.0.0/255.0.0.0'].exists(x, isCIDR(x))", False),
        ("self.l.exists(x, x == 'pb') && !self.l.exists_one(x, x.contains('p'))", True),
        ("self.d.all(key, key.size() == 1)", True),
        ("self.l.map(x, size(x)) == [2, 2]", True),
        ("self.a > 0 ? self.a <= 1 : false", True),
        ("'a' in self && !('z' in self)", True),
        ("self.l[0].endsWith('a') && self.l[-1 + 2] == \"pb\"", True),
        ("self.c == 1 || self.a == 1", True),
        ("self.c == 1 && self.a == 2", False),
        ("self.b.matches('^te?xt$')", True),
    ],
)
def test_rules_are_judged_as_cel_does(rule: str, verdict: bool) -> None:
    assert holds(rule, {"a": 1, "b": "text", "d": {"e": None}, "l": ["pa", "pb"]}) is verdict


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        ("self.c == 1", RuleError),
        ("has(self.c.d)", RuleError),
        ("self.a", RuleError),
        ("self.a < 'x'", RuleError),
        ("self.a.matches('x')", RuleError),
        ("isCIDR(self.a)", RuleError),
        ("self.a.b.c()", UnknownRuleError),
        ("quantity(self.a)", UnknownRuleError),
        ("self.a ==", UnknownRuleError),
        ("self.a == 1 self", UnknownRuleError),
        ("self.a @ 1", UnknownRuleError),
    ],
)
def test_what_cannot_be_judged_is_said(rule: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        holds(rule, {"a": 1})


# ---- YAML as kubectl reads it


@pytest.mark.parametrize(("text", "value"), MEANINGS.items(), ids=repr)
def test_a_plain_scalar_means_what_it_means_to_kubectl(text: str, value: object) -> None:
    found = scalar(text)
    assert (found, isinstance(found, bool)) == (value, isinstance(value, bool))


def plain(text: str) -> list[Any]:
    return [document.item.plain() for document in documents(text) if isinstance(document.item, Item)]


def test_documents_are_cut_at_dashes_and_empty_ones_left_out() -> None:
    text = "---\n# nothing\n--- # also\na: 1\n---\n\n---\n{b: 2}\n"
    assert plain(text) == [{"a": 1}, {"b": 2}]
    assert [document.number for document in documents(text)] == [1, 2]
    assert plain('{"a": 1}\n{"b":\t"\\ud83d\\ude00\\/"}\n---\n{"c": 3}') == [{"a": 1}, {"b": "😀/"}, {"c": 3}]


def test_quotes_tags_and_blocks_make_texts_and_keys_become_texts() -> None:
    text = "a: 'yes'\nb: !!str 017\nc: |\n  no\n1: x\non: y\nd: !!int '5'\n"
    assert plain(text) == [{"a": "yes", "b": "017", "c": "no\n", "1": "x", "true": True, "d": 5}]


def test_merges_and_aliases_are_followed() -> None:
    assert plain("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\nc: *x\nd: {<<: [{p: 9}, *x]}\n") == [
        {"a": {"p": 1, "q": 2}, "b": {"q": 3, "p": 1}, "c": {"p": 1, "q": 2}, "d": {"p": 9, "q": 2}}
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("a: 1\nb: 2\na: 3\n", "3: error: : the key a stands here and in line 1: kubectl takes the last", id="twice"),
        pytest.param("a: 1\n---\nb: [1\nc: 2\n", "4: error: : this is no YAML: ", id="syntax, with the line in the file"),
        pytest.param("a: {{ .Values.a }}\n", "a Helm template must be rendered first", id="a template"),
        pytest.param("a: &a [*a]\n", "line 1: an anchor holds itself", id="an endless one"),
        pytest.param("\n? [1]\n: 2\n", "line 2: a list or an object cannot be a key", id="a key that is none"),
        pytest.param("~: 2\n", "line 1: a key is missing before the colon", id="no key"),
        pytest.param("a: .inf\n", ".inf has no form in JSON", id="infinite"),
        pytest.param("on: 1\n", "1: advice: : on is the boolean true to kubectl", id="a key that is a boolean"),
        pytest.param('{"a": 1,\n "a": 2}', "2: error: : the key a stands here and in line 1", id="twice, in JSON"),
        pytest.param('{"a": 1,\n\n oops}', "3: error: : this is no JSON", id="no JSON"),
    ],
)  # fmt: skip
def test_a_text_that_cannot_be_read_says_where(text: str, problem: str) -> None:
    assert any(problem in line for line in said(text)), said(text)


def test_aliases_of_aliases_do_not_grow_without_end() -> None:
    text = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    assert "values; aliases within aliases?" in said(text)[0]


# ---- what is said, and where


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        pytest.param("name: zero", "name: yes", "4: error: metadata.name: yes is the boolean true to kubectl, and a text is wanted: quote it", id="a boolean for a text"),
        pytest.param("  storage:", "  suspend: on\n  storage:", "10: advice: spec.suspend: on is the boolean true to kubectl: write true", id="a boolean in an old form"),
        pytest.param("  storage:", "  serving: {replicas: 010}\n  storage:", "10: advice: spec.serving.replicas: 010 is the octal number 8", id="an octal number"),
        pytest.param("  storage:", "  servings: {}\n  storage:", "10: error: spec.servings: there is no such field; did you mean serving?", id="a misspelt field"),
        pytest.param("size: 1Gi", "size: 1Gi\n    accessMode: ReadWritemany", "'ReadWritemany' is none of ReadWriteOnce, ReadWriteMany; did you mean ReadWriteMany?", id="a misspelt choice"),
        pytest.param("name: tiny", "name:", "7: error: spec.baseModel.name: null is no value here", id="null"),
        pytest.param("size: 1Gi", "claimName: a\n    size: 1Gi", "11: error: spec.storage: set exactly one of claimName", id="a rule, with the object's line"),
        pytest.param("kind: OneSeekModel", "kind: OneSeekmodel", "2: error: kind: there is no kind OneSeekmodel; did you mean OneSeekModel?", id="a misspelt kind"),
        pytest.param("oneseek.io/v1alpha1", "oneseek.io/v1", "1: error: apiVersion: oneseek.io/v1 is unknown; oneseek.io/v1alpha1 is what there is", id="another version"),
        pytest.param("oneseek.io/v1alpha1", "oneseek/v1alpha1", "OneSeekModel is a kind of oneseek.io/v1alpha1, not of oneseek/v1alpha1", id="another group"),
        pytest.param("kind: OneSeekModel\n", "", "1: error: : kind is missing: kubectl refuses the whole file", id="no kind"),
        pytest.param("metadata:\n  name: zero\n", "", "error: metadata: metadata with a name is missing", id="no metadata"),
        pytest.param("spec:", "spek:", "5: error: spek: there is no such field; did you mean spec?", id="no spec"),
        pytest.param("name: zero", "name: zero\n  labels: {tier: 1}", "5: error: metadata.labels.tier: 1 is the number 1 to kubectl", id="a label that is a number"),
        pytest.param("name: zero", "name: zero\n  annotations:\n    oneseek.io/rollback: previous", "6: error: metadata.annotations.oneseek.io/rollback: a request in a manifest would repeat for ever and is refused (RequestInManifest)", id="a request"),
        pytest.param("name: zero", "name: zero\n  annotations: {oneseek.io/requested-by: me}", "it belongs to a request, and a manifest makes none", id="who asks"),
        pytest.param("spec:", "status: {}\nspec:", "5: advice: status: the status is the operator's", id="a status"),
        pytest.param("path: basemodeller/tiny", "huggingFace: {repo: a/b}", "9: advice: spec.baseModel.source.huggingFace.revision: main may move", id="a branch, unsaid"),
        pytest.param("path: basemodeller/tiny", "huggingFace:\n        repo: a/b\n        revision: v1", "11: advice: spec.baseModel.source.huggingFace.revision: v1 may move", id="a tag"),
        pytest.param("path: basemodeller/tiny", "image: a:latest", "9: advice: spec.baseModel.source.image: a:latest may move", id="an image's tag"),
        pytest.param("  storage:", "  version: Other.v1.0.sv.dsQA.88e5477b.13bb1cd8\n  storage:", "10: error: spec.version: Other.v1.0.sv.dsQA.88e5477b.13bb1cd8 is no version of spec.family OneSeek-7B-Zero", id="a pin of another family"),
        pytest.param("  storage:", "  version: OneSeek-7B-Zero.v1.0.sv.dsQA.88e5477b\n  storage:", "has an old form of DNA", id="a pin in an old form"),
        pytest.param("  storage:", "  version: latest\n  storage:", "10: error: spec.version: 'latest' does not match", id="a pin of nothing"),
        pytest.param("  storage:", "  promotion: {gate: {}}\n  storage:", "6: error: spec: promotion.gate needs training.evaluation.dataset", id="a gate without an evaluation"),
        pytest.param("  storage:", "  promotion: {gate: {}}\n  storage:", "10: advice: spec.promotion.gate: the gate asks for nothing", id="an open gate"),
        pytest.param("  storage:", "  serving: {engine: {resources: {requests: {nvidia.com/gpu: 1}}}}\n  storage:", "10: error: spec.serving.engine.resources.requests.nvidia.com/gpu: Kubernetes wants nvidia.com/gpu in limits", id="a GPU that is only requested"),
        pytest.param("  baseModel:\n    name: tiny\n    source:\n      path: basemodeller/tiny\n", "", "6: advice: spec: a patch of kustomize? Judge what it makes", id="a patch"),
    ],
)  # fmt: skip
def test_each_mistake_has_its_sentence_and_its_line(old: str, new: str, problem: str) -> None:
    assert any(problem in line for line in said(MODEL.replace(old, new, 1))), said(MODEL.replace(old, new, 1))


def test_what_is_pinned_gets_no_advice() -> None:
    assert said(MODEL) == []
    hub = f"huggingFace: {{repo: a/b, revision: {'a' * 40}}}"
    assert said(MODEL.replace("path: basemodeller/tiny", hub)) == []
    digest = f"path: basemodeller/tiny\n    digest: sha256:{'a' * 64}\n  version: {ONE}"
    assert said(MODEL.replace("path: basemodeller/tiny", digest)) == []
    image = f"image: a@sha256:{'a' * 64}"
    assert said(MODEL.replace("path: basemodeller/tiny", image)) == []


# ---- the verb


def test_lint_names_file_document_and_line_and_fails_on_errors(cluster: Cluster) -> None:
    other = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\n"
    name = write(f"{other}---\n{MODEL.replace('size: 1Gi', 'size: large')}")
    code, out, err = cluster("lint", name)
    pattern = "^[0-9]+(\\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei)?$"
    assert (code, err) == (1, "")
    assert out == (
        f"a.yaml:15: error: document 2, OneSeekModel/zero: spec.storage.size: 'large' does not match {pattern}\n"
        "NOT GOOD   1 object judged, 1 error, 0 advice; 1 object of other kinds passed over\n"
    )
    found = cluster.json("lint", "-f", name)
    assert (found["good"], found["passedOver"], found["findings"][0]["line"]) == (False, 1, 15)


def test_advice_fails_only_where_it_is_asked_to(cluster: Cluster) -> None:
    name = write(MODEL.replace("path: basemodeller/tiny", "image: a:1"))
    assert cluster("lint", name)[0] == 0
    assert cluster("lint", name, "--strict")[0] == 1


def test_folders_lists_and_stdin_are_read_as_kubectl_does(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    write(MODEL, "all/a.yaml")
    write(
        json.dumps({"kind": "List", "apiVersion": "v1", "items": [run_manifest(), run_manifest(epochs=0)]}),
        "all/b.json",
    )
    write("no: [yaml", "all/readme.md")
    write(MODEL.replace("zero", "Zero"), "all/below/c.yml")
    code, out, _ = cluster("lint", "all")
    assert (code, out.splitlines()[-1]) == (1, "NOT GOOD   3 objects judged, 1 error, 0 advice")
    assert "all/b.json:1: error: items[1].TrainingRun/first: spec.epochs: 0 is too small: at least 1" in out
    assert "below/c.yml:4: error" in cluster("lint", "all", "-R")[1]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(MODEL.encode())))
    assert cluster("lint", "-")[1] == "good   1 object judged, 0 errors, 0 advice\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("lint", "name a FILE, a folder, or - for stdin"),
        ("lint gone.yaml", "gone.yaml cannot be read: No such file"),
        ("lint empty", "empty holds no file that ends with .json, .yaml, .yml"),
        ("lint bytes.yaml", "bytes.yaml is no text in UTF-8"),
    ],
)
def test_what_cannot_be_looked_at_is_no_verdict(cluster: Cluster, arguments: str, sentence: str) -> None:
    Path("empty").mkdir()
    Path("bytes.yaml").write_bytes(b"a: \xff")
    code, out, err = cluster(*arguments.split())
    assert (code, out, sentence in err) == (2, "", True)


def test_a_file_without_any_object_of_ours_is_good_and_says_so(cluster: Cluster) -> None:
    code, _, err = cluster("lint", write("# nothing\n"))
    assert (code, "there is no OneSeek object in it" in err) == (0, True)


# ---- what was copied from a cluster, and names

CASES = REPOSITORY / "tests/cases"
NEW_STATUS = MODEL.replace("name: zero", "name: 7b-zero") + "status: {observedGeneration: 3}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ((CASES / "50-digit-name.yaml").read_text(), "must begin with a letter"),
        ((CASES / "50-dotted-name.yaml").read_text(), "no dot"),
        (MODEL.replace("name: zero", 'name: "7"'), "must begin with a letter"),
        (NEW_STATUS, "must begin with a letter"),
    ],
    ids=["digit", "dotted", "digit-alone", "with-a-status"],
)
def test_a_name_that_no_service_can_have_is_an_error(text: str, words: str) -> None:
    assert [line for line in said(text) if ": error: " in line and words in line]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ((CASES / "54-copied-live.yaml").read_text(), ["metadata.resourceVersion", "metadata.uid", "status"]),
        (MODEL.replace("name: zero", "name: zero\n  uid: 0b5f7c1e"), ["metadata.uid"]),
        (MODEL.replace("name: zero", 'name: zero\n  resourceVersion: "3"'), ["metadata.resourceVersion"]),
    ],
    ids=["run", "uid", "version"],
)
def test_what_was_copied_from_a_cluster_is_told_and_is_no_error(text: str, fields: list[str]) -> None:
    found = [line.split(": ") for line in said(text)]
    assert not [line for line in found if line[1] == "error"]
    told = sorted({line[2] for line in found if line[1] == "advice"})
    assert told == fields
