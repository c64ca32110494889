"""launch_kubernetes.yaml: its parts agree, and its command is one that the program takes."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def pod() -> dict:
    return jobs()["template"]["spec"]["template"]["spec"]


def jobs() -> dict:
    jobset = yaml.safe_load((ROOT / "launch_kubernetes.yaml").read_text())
    assert (jobset["apiVersion"], jobset["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    (job,) = jobset["spec"]["replicatedJobs"]
    return job


def test_as_many_hosts_everywhere(pod: dict) -> None:
    """A failed host fails its job, whose failure the job set answers with a restart of all."""
    spec = jobs()["template"]["spec"]
    (container,) = pod["containers"]
    environment = {each["name"]: each["value"] for each in container["env"]}
    assert spec["completions"] == spec["parallelism"] == int(environment["HOSTS"])
    assert spec["completionMode"] == "Indexed"
    assert (spec["backoffLimit"], pod["restartPolicy"]) == (0, "Never")
    # The name that JobSet gives the first host: JOBSET-JOB-0-0.JOBSET.
    assert environment["COORDINATOR"].startswith(f"wavenet-{jobs()['name']}-0-0.wavenet:")


def test_the_command(pod: dict, tmp_path: pathlib.Path) -> None:
    """The shell takes it, and the program its flags; it fails where the training stopped early."""
    *shell, script = pod["containers"][0]["command"]
    (tmp_path / "script.sh").write_text(f"#!/bin/bash -eu\n{script}")
    checker = pathlib.Path(sys.executable).with_name("shellcheck")
    subprocess.run([checker, tmp_path / "script.sh"], check=True)
    used = set(re.findall(r"--([a-z_]+)", script.split("experiments.train")[1].split("tee")[0]))
    helped = subprocess.run(
        [sys.executable, "-m", "experiments.train", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    known = set(re.findall(r"--(?:\[no\])?([a-z_]+)", helped))
    assert used <= known

    programs = tmp_path / "bin"
    programs.mkdir()
    said = tmp_path / "said"
    for name, body in {
        "git": "mkdir -p src",
        "python": 'mkdir -p .venv/bin; cp "$0" .venv/bin/python; [ "$2" = venv ] || cat "$SAID"',
    }.items():
        (programs / name).write_text(f"#!/bin/bash\n{body}\n")
        (programs / name).chmod(0o755)
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "SAID": str(said),
        "REVISION": "main",
        "REPOSITORY": "somewhere",
        "HOSTS": "2",
        "COORDINATOR": "a:1",
        "JOB_COMPLETION_INDEX": "0",
    }
    assert shell == ["bash", "-euc"]
    for text, code in (("all of it", 0), ("Stopped and saved at step 3 of 9", 1)):
        said.write_text(f"{text}\n")
        folder = tmp_path / text
        folder.mkdir()
        (folder / "work").mkdir()
        ended = subprocess.run(
            [shutil.which("bash"), "-euc", script],
            cwd=folder / "work",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == code, ended.stderr
        assert (folder / "work" / "train.log").exists()
