"""What every test runs under: strict globals, eight devices, one small corpus.

Subprocesses that tests start choose their own devices. All share how programs are compiled,
and the cache of them, which is one run's.
"""

import os
import pathlib
import shutil
import tempfile

import hypothesis
import jax
import jaxlib.version
import numpy as np
import pytest

from data.audio import compiled

# Before anything asks jax for a device. A test for an accelerator names its platform.
jax.config.update("jax_platforms", os.environ.get("JAX_PLATFORMS", "cpu"))
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")

# Compiled programs are kept in a folder of this run. The first process makes it, the others,
# workers and what tests start, find it in the environment.
CACHE = "JAX_COMPILATION_CACHE_DIR"
MAKES_THE_CACHE = "PYTEST_XDIST_WORKER" not in os.environ
if MAKES_THE_CACHE:
    compiled.load()  # librosa's, by numba, beside librosa
    os.environ[CACHE] = tempfile.mkdtemp(prefix="wavenet_jax_tests_")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
jax.config.update("jax_compilation_cache_dir", os.environ[CACHE])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

# Programs are compiled often here and run briefly, so that LLVM's optimisations do not pay.
# (What decides what a program does stays as it is.) The flags are read when the devices are made.
COMPILE_FAST = ["--xla_backend_optimization_level=0", "--xla_llvm_disable_expensive_passes=true"]
# XLA aborts the process for a flag that it does not know, and this one went with jaxlib 0.11.
if jaxlib.version.__version_info__ < (0, 11):
    COMPILE_FAST.append("--xla_cpu_use_fusion_emitters=false")
if COMPILE_FAST[0] not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *COMPILE_FAST])
jax.devices()

# The same examples every time, and no test fails because the machine is busy.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True)
hypothesis.settings.load_profile("suite")


def pytest_unconfigure() -> None:
    if MAKES_THE_CACHE:
        shutil.rmtree(os.environ[CACHE], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and jax.default_backend() != "gpu":
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="jax sees no GPU (set JAX_PLATFORMS=cuda)"))


@pytest.fixture(scope="session")
def fsdd_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A `data_dir` with an fsdd corpus of humming: 2 speakers, 2 digits, all three splits."""
    import soundfile

    import data

    root = tmp_path_factory.mktemp("fsdd")
    (root / "in").mkdir()
    random = np.random.default_rng(0)
    for speaker, pitch_hz in (("low", 150), ("high", 310)):
        for digit in (0, 7):
            for index in (0, 5, 10, 11, 12):
                time_s = np.arange(700 + 100 * index) / 8000
                tone = np.sin(2 * np.pi * pitch_hz * (1 + digit / 50) * time_s)
                samples = 9000 * tone + random.normal(0, 200, len(time_s))
                name = f"{digit}_{speaker}_{index}.wav"
                soundfile.write(root / "in" / name, samples.astype(np.int16), 8000)
    data.build("fsdd", data_dir=root / "out", source=root / "in")
    return root / "out"
