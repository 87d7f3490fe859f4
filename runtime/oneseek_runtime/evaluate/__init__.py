"""The evaluate job: a trained adapter and questions that training never saw in, scores by real generation out."""

import os

# As in `train`: read once, when torch brings its OpenMP in; threads that spin starve those that they wait for.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
