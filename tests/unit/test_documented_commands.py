"""Every command, path, field and manifest in the documents exists, as far as that can be told without a cluster."""

from __future__ import annotations

import argparse
import copy
import fnmatch
import json
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from oneseek_core import names
from oneseek_core.api.crd import definitions
from oneseek_runtime.plugin.__main__ import VERBS, chosen_verb, main, parser_of
from support.documents import ROOT, SHELL, Block, blocks, code, commands, pages

TOP = (
    "core",
    "operator",
    "runtime",
    "docs",
    "tests",
    "dev",
    "charts",
    "crds",
    "examples",
    "datasets",
    "dashboard",
    "requirements",
)
PACKAGES = (
    "core/oneseek_core",
    "operator/oneseek_operator",
    "runtime/oneseek_runtime",
    "runtime/oneseek_runtime/sidecar",
    "runtime",
)
MINIMAL = {
    "OneSeekModel": ROOT / "examples/quickstart/model.yaml",
    "TrainingRun": ROOT / "examples/quickstart/training-run.yaml",
}
BLOCKS = [block for page in pages() for block in blocks(page)]
CODE = sorted({(page, text) for page in pages() for text in code(page)})
MADE = "written by `make"
Schema = dict[str, Any]


def lines() -> list[tuple[str, str]]:
    """Each command line of a shell block, and where it stands."""
    return [(str(block), line) for block in BLOCKS if block.language in SHELL for line in commands(block)]


def calls(line: str) -> list[list[str]]:
    """The calls of `kubectl oneseek` in a line, as words."""
    parts = re.split(r"\|\||&&|[|;><]|\$\(", line)
    return [shlex.split(part)[2:] for part in parts if part.strip().startswith("kubectl oneseek")]


CALLS = [pytest.param(words, id=f"{where} {' '.join(words)}") for where, line in lines() for words in calls(line)]
MENTIONS = sorted({text for _, text in CODE if text.startswith("kubectl oneseek ") and "VERB" not in text})


def parser(verb: str) -> argparse.ArgumentParser:
    """Of the whole command line, with the verb's own arguments."""
    return parser_of(verb, chosen_verb(verb))


def verb_of(words: list[str]) -> str:
    """The verb of a call."""
    return next(word for word in words if word in VERBS)


def test_the_documents_hold_commands() -> None:
    assert len(CALLS) > 40
    assert {verb_of(param.values[0]) for param in CALLS} >= set(VERBS) - {"pause", "resume", "plot", "logs"}


@pytest.mark.parametrize("words", CALLS)
def test_the_plugin_takes_it(words: list[str]) -> None:
    assert parser(verb_of(words)).parse_args(words)


@pytest.mark.parametrize("text", MENTIONS)
def test_a_verb_that_a_sentence_names_is_one_of_the_plugins(text: str) -> None:
    words = re.split(r"[|>]", text)[0].split()[2:]
    verbs = next(action for action in parser(verb_of(words))._actions if isinstance(action, argparse._SubParsersAction))
    options = verbs.choices[verb_of(words)]._option_string_actions
    assert {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"} <= set(options)


@cache
def targets() -> set[str]:
    """The targets of the Makefile."""
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def made(text: str) -> set[str]:
    """The targets that a `make` in a text names."""
    found = re.findall(r"(?:^|[\s(])make((?: [a-z-]+)+)(?=$|[\s)])", text)
    return {word for names_ in found for word in names_.split()}


def test_every_target_of_make_is_there() -> None:
    told = {name for _, line in lines() for name in made(line)} | {
        name for _, text in CODE if text.startswith("make ") for name in made(text)
    }
    assert len(told) > 15
    assert told <= targets()


@cache
def files() -> set[str]:
    """The files of the repository that documents may name, from its root."""
    found = [
        path
        for top in TOP
        for path in (ROOT / top).rglob("*")
        if not {"node_modules", "__pycache__", "dist"} & set(path.parts)
    ]
    return {str(path.relative_to(ROOT)) for path in found} | {path.name for path in ROOT.iterdir()}


def is_there(path: str) -> bool:
    """From the root of the repository, or of one of the packages; a name alone: anywhere. `*` stands for any name."""
    if "/" not in path:
        return path in {file.rpartition("/")[2] for file in files()}
    wanted = [path.rstrip("/"), *(f"{package}/{path.rstrip('/')}" for package in PACKAGES)]
    if "*" in path:
        return any(fnmatch.fnmatch(file, one) for one in wanted for file in files())
    return not files().isdisjoint(wanted)


def test_every_path_that_is_named_is_there() -> None:
    of_code = re.compile(r"[\w.*-]+(/[\w.*-]+)*\.(py|ts|go)")
    of_ours = re.compile(rf"({'|'.join(TOP)})/[\w./*-]*")
    told = {(page, text) for page, text in CODE if of_code.fullmatch(text) or of_ours.fullmatch(text)}
    assert len(told) > 100
    assert {f"{page.name}: {text}" for page, text in told if not is_there(text)} == set()


def test_paths_on_command_lines_are_there() -> None:
    for where, line in lines():
        for word in re.findall(rf"(?:(?<=\s)|(?<=--from-file=))(?:{'|'.join(TOP)})/[\w./-]+", line):
            assert is_there(word), f"{where}: {word}"


def field_is_there(path: str, schema: Schema) -> bool:
    """Whether a schema has a field; `[]` and `.*` are left out of the path."""
    for part in filter(None, re.split(r"\.|\[\]", path)):
        schema = schema.get("items", schema)
        inner = schema.get("properties", {}).get(part, schema.get("additionalProperties"))
        if not isinstance(inner, dict):
            return False
        schema = inner
    return True


@cache
def schemas() -> list[Schema]:
    """Of both kinds."""
    return [item["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for item in definitions().values()]


def test_every_field_that_is_named_is_one_of_a_kind() -> None:
    told = {text.partition(":")[0] for _, text in CODE if re.match(r"(spec|status)\.[a-zA-Z.\[\]]+(:|$)", text)}
    assert len(told) > 40
    assert {path for path in told if not any(field_is_there(path, schema) for schema in schemas())} == set()


def test_every_annotation_is_one_that_is_read_or_written() -> None:
    known = {value.removeprefix(f"{names.GROUP}/") for value in vars(names).values() if isinstance(value, str)}
    known |= {*names.REQUEST_VERBS, names.RETRY_VERB, names.VERSION, ""}
    for page in pages():
        found = set(re.findall(rf"(?<![\w./-]){names.GROUP}/([a-z0-9-]*)", page.read_text()))
        assert found <= known, page


@cache
def values() -> Schema:
    """The schema of the chart's values, with its references put in place."""
    schema: Schema = json.loads((ROOT / "charts/oneseek/values.schema.json").read_text())

    def inlined(node: Any) -> Any:
        if isinstance(node, list):
            return [inlined(one) for one in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return inlined(schema["definitions"][node["$ref"].rpartition("/")[2]])
        return {key: inlined(one) for key, one in node.items() if key != "definitions"}

    found: Schema = inlined(schema)
    return found


def test_every_value_that_helm_is_given_is_one_of_the_charts() -> None:
    texts = [line for _, line in lines()] + [text for _, text in CODE]
    told = {setting for text in texts for setting in re.findall(r"--set ['\"]?([^'\"\s]+)", text)}
    keys = {pair.partition("=")[0] for setting in told for pair in re.split(r",(?![^{]*\})", setting)}
    assert len(keys) > 5
    assert {key for key in keys if not field_is_there(key, values())} == set()


def manifests() -> list[Any]:
    """The YAML blocks."""
    return [pytest.param(block, id=str(block)) for block in BLOCKS if block.language == "yaml"]


def merged(below: Any, above: Any) -> Any:
    """`above` over `below`; lists are replaced."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: merged(below.get(key), value) for key, value in above.items()}}
    return copy.deepcopy(above)


@pytest.mark.parametrize("block", manifests())
def test_every_manifest_is_taken(block: Block, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A part of an object says in its first line of what; it is put into an example of that kind."""
    found, of = yaml.safe_load(block.text), block.text.partition("\n")[0].removeprefix("# ")
    if of == "values.yaml":
        keys = [f"{key}.{inner}" for key, value in found.items() if isinstance(value, dict) for inner in value]
        assert [key for key in keys if not field_is_there(key, values())] == []
        return
    if "apiVersion" not in found:
        assert of in MINIMAL, (
            "say in the first line what it is a part of: # OneSeekModel, # TrainingRun or # values.yaml"
        )
        found = merged(yaml.safe_load(MINIMAL[of].read_text()), found)
    (tmp_path / "object.yaml").write_text(yaml.safe_dump(found, sort_keys=False))
    assert main(["lint", str(tmp_path / "object.yaml")]) == 0, capsys.readouterr().out


def test_the_examples_of_the_tutorial_are_taken() -> None:
    assert main(["lint", "-R", str(ROOT / "examples/tutorial"), str(ROOT / "examples/quickstart")]) == 0


def test_every_block_says_what_it_is() -> None:
    """`sh` is checked here, and run where it is the tutorial's; `text` is output."""
    known = {*SHELL, "yaml", "text", "json"}
    assert [str(block) for block in BLOCKS if block.language not in known and MADE not in block.page.read_text()] == []


def requests() -> list[Any]:
    """Each `curl` to a model: method, path and body."""
    found = []
    for where, line in lines():
        if "curl" not in line or "$URL/" not in line:
            continue
        words = shlex.split(line.partition("curl")[2].replace("> /dev/null", ""))
        (path,) = [word.removeprefix("$URL") for word in words if word.startswith("$URL/")]
        body = words[words.index("-d") + 1] if "-d" in words else ""
        method = words[words.index("-X") + 1] if "-X" in words else "POST" if body else "GET"
        found.append(pytest.param(method.lower(), path, body, id=f"{where} {method} {path}"))
    return found


@pytest.mark.parametrize(("method", "path", "body"), requests())
def test_every_request_over_http_is_one_that_the_sidecar_describes(method: str, path: str, body: str) -> None:
    document = json.loads((ROOT / "docs/openapi.json").read_text())
    operation = document["paths"][path][method]
    if body.startswith("{"):
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        jsonschema_rs.validate({**schema, "components": document["components"]}, json.loads(body))


def test_what_the_tutorial_teaches_is_what_micro_train_takes() -> None:
    document = json.loads((ROOT / "docs/openapi.json").read_text())
    operation = document["paths"]["/api/oqt/micro-train"]["post"]
    schema = {**operation["requestBody"]["content"]["application/json"]["schema"], "components": document["components"]}
    rows = (ROOT / "examples/tutorial/lessons.jsonl").read_text().splitlines()
    assert len(rows) == 10
    for row in rows:
        jsonschema_rs.validate(schema, json.loads(row))
