"""Coverage-guided fuzzing of everything that reads what others wrote (`make fuzz`).

    python tests/fuzz.py --minutes=60 [--readers=sound,zip] [--finds=FOLDER]
    python tests/fuzz.py --readers=sound --input=FILE

Each reader of `readers.py` gets an equal share of the time, in a process of its own. Atheris
(libFuzzer) changes its valid files, and keeps those changes that reach new code of `data`,
`wavenet_jax` or `experiments`; half of the changes to JSON are to its values. A find is an input
that ends in anything else than a result or one of `readers.REFUSALS`, such as another error, a
crash, `TIMEOUT_S` or `MEMORY_GIB` more than before; it is kept in the folder of finds. With
finds the exit code is 1. The second form reads one file, and shows how that ends.
"""

import argparse
import hashlib
import os
import pathlib
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

PACKAGES = ["data", "experiments", "wavenet_jax"]
TIMEOUT_S = 60
MEMORY_GIB = 4
MAX_INPUT_BYTES = 2**16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--readers", help="names, joined by commas; all by default")
    parser.add_argument("--finds", type=pathlib.Path, default=pathlib.Path("finds"))
    parser.add_argument("--input", type=pathlib.Path)
    parser.add_argument("--worker", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    if options.worker:
        _fuzz(options.readers, options.worker, options.finds)
    elif options.input:
        reader = next(each for each in _readers() if each.name == options.readers)
        with tempfile.TemporaryDirectory() as folder:
            _, read = reader.opened(pathlib.Path(folder))
            print(read(options.input.read_bytes()))
    else:
        names = [reader.name for reader in _readers()]
        chosen = options.readers.split(",") if options.readers else names
        sys.exit(_supervise(chosen, 60 * options.minutes / len(chosen), options.finds))


def _readers() -> tuple:
    import readers

    return readers.READERS


def _supervise(names: list[str], seconds: float, finds: pathlib.Path) -> int:
    """Runs the fuzzer of each reader, again after what ends its process; prints a line each."""
    all_inputs = all_finds = 0
    for name in names:
        begun_s, inputs = time.monotonic(), 0
        folder = finds / re.sub(r"\W+", "_", name)
        folder.mkdir(parents=True, exist_ok=True)
        before = set(folder.iterdir())
        while (left_s := seconds - (time.monotonic() - begun_s)) > 1:
            flags = [f"--readers={name}", f"--worker={left_s}", f"--finds={folder}"]
            ended = subprocess.run(
                [sys.executable, __file__, *flags],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                check=False,
            )
            found = re.search(rb"number_of_executed_units: (\d+)", ended.stderr)
            if not found:
                raise SystemExit(ended.stderr.decode(errors="replace")[-3000:])
            inputs += int(found[1])
        took_s = time.monotonic() - begun_s
        new = sorted(set(folder.iterdir()) - before)
        print(
            f"{name:30} {inputs:10,} inputs in {took_s / 60:5.1f} min {inputs / took_s:7.1f}/s "
            f"{len(new)} finds {' '.join(path.name for path in new)}",
            flush=True,
        )
        all_inputs, all_finds = all_inputs + inputs, all_finds + len(new)
    print(f"{all_inputs:,} inputs, {all_finds} finds")
    return int(all_finds > 0)


def _fuzz(name: str, seconds: float, finds: pathlib.Path) -> None:
    """Fuzzes one reader until the time is over, which ends the process."""
    import atheris

    with atheris.instrument_imports(include=PACKAGES):
        import readers
    from absl import logging

    logging.set_verbosity(logging.FATAL)
    reader = next(each for each in readers.READERS if each.name == name)
    work = tempfile.TemporaryDirectory()
    folder, corpus = pathlib.Path(work.name) / "read", pathlib.Path(work.name) / "corpus"
    folder.mkdir()
    corpus.mkdir()
    seeds, read = reader.opened(folder)
    for i, seed in enumerate(seeds):
        (corpus / str(i)).write_bytes(seed)
    in_use = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY_GIB * 2**30,) * 2)
    seen: set[tuple[str, ...]] = set()

    def one_input(content: bytes) -> None:
        try:
            read(content)
        except readers.REFUSALS:
            pass
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            ours = [each for each in frames if each.filename.startswith(str(ROOT))]
            place = type(error).__name__, *(f"{each.filename}:{each.lineno}" for each in ours)
            if place not in seen:  # and goes on
                seen.add(place)
                file = finds / f"{type(error).__name__}-{hashlib.sha256(content).hexdigest()[:12]}"
                file.write_bytes(content)

    def changed(content: bytes, max_size: int, seed: int) -> bytes:
        draw = random.Random(seed)
        if content[:1] in (b"{", b"[") and draw.random() < 0.5:
            return readers.mutated(content, draw)[:max_size]
        return atheris.Mutate(content, max_size)

    flags = {
        "max_total_time": max(1, round(seconds)),
        "max_len": max(MAX_INPUT_BYTES, 2 * max(map(len, seeds))),
        "timeout": TIMEOUT_S,
        "rss_limit_mb": 0,
        "artifact_prefix": f"{finds}/",
        "print_final_stats": 1,
        "close_fd_mask": 3,
        "verbosity": 1,
    }
    arguments = [sys.argv[0], str(corpus), *(f"-{flag}={value}" for flag, value in flags.items())]
    atheris.Setup(arguments, one_input, custom_mutator=changed)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
