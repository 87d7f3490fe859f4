"""The train job: a frozen base model and prepared data in, a LoRA adapter with measured figures out.

`recipe` is the story, to be read from top to bottom; `job` is its border to the pod; the rest are small parts.
"""

import os

# Read once, when torch brings its OpenMP in. By default its threads spin while they wait for each other; on a node
# whose CPUs others use too that starves the very thread waited for (measured: 22 label tokens/s instead of 130).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
