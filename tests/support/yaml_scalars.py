"""Plain YAML scalars and what the real kubectl makes of them (as JSON), for the reader that must agree with it.

`tests/cluster/test_plugin.py` asks kubectl again.
"""

from __future__ import annotations

TRUE = ("y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE")
FALSE = ("n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE")
NULL = ("~", "null", "Null", "NULL")
NUMBERS: dict[str, int | float] = {
    "0": 0, "-1": -1, "+1": 1, "017": 15, "0o17": 15, "08": 8.0, "0x1F": 31, "-0x1F": -31, "0b11": 3, "+0b1": 1,
    "1_000": 1000, "0x_1": 1, "0_7": 7, "1e3": 1000.0, "1.5e-3": 0.0015, "-1.5": -1.5, ".5": 0.5, "+.5": 0.5, "1.": 1.0,
    "1_0.5": 10.5, "00": 0, "9223372036854775807": 9223372036854775807,
}  # fmt: skip
TEXTS = (
    "yEs", "tRUE", "nUll", "_1", ".", "..", "--", "1.2.3", "1e", "0x", "0b2", "0o8a", "12:30", "2020-01-01",
    "2020-01-01T00:00:00Z", "1,000", "1Gi", "500m", "v1", "=", "._5", "+y", "1e400", "½",
)  # fmt: skip
MEANINGS: dict[str, object] = {
    **dict.fromkeys(TRUE, True),
    **dict.fromkeys(FALSE, False),
    **dict.fromkeys(NULL, None),
    **NUMBERS,
    **{text: text for text in TEXTS},
}
