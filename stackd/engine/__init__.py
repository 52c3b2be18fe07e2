"""The container engine: the calls we use (`base`), and the adapter over aiodocker, which is imported nowhere else."""
