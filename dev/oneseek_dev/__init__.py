"""OneSeek's local cluster: a real Kubernetes on this machine, its registry and its images.

Standard library only, because it is what runs on a bare machine before anything could be installed.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - before any module that an older one cannot even read
    here = ".".join(map(str, sys.version_info[:2]))
    sys.stderr.write(f"Python {here} is here and 3.11 or newer is needed: install it, first on the PATH.\n")
    sys.exit(2)
