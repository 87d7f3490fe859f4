"""[I/O] `python -m oneseek_core.api OUT [CHART]`: write the CustomResourceDefinitions as YAML.

YAML is a superset of JSON; the files are written by PyYAML, a development dependency, so that people can read them.
The chart's copy is the same text behind a guard and an annotation that keeps the definitions (and with them every
OneSeekModel) when the chart is uninstalled.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from oneseek_core.api.crd import definitions

_HEADER = "# Generated from core/oneseek_core/api by `make manifests`. Do not edit.\n"


def main(arguments: list[str]) -> int:
    """Write one file per kind into each folder named."""
    crds, *chart = [Path(argument) for argument in arguments]
    for name, definition in definitions().items():
        crds.joinpath(name).write_text(_HEADER + yaml.safe_dump(definition, sort_keys=False, width=120))
        for folder in chart:
            definition["metadata"]["annotations"] = {"helm.sh/resource-policy": "keep"}
            text = yaml.safe_dump(definition, sort_keys=False, width=120)
            folder.joinpath(f"crd-{name}").write_text(
                _HEADER + '{{- if (include "oneseek.values" . | fromYaml).crds.install }}\n' + text + "{{- end }}\n"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
