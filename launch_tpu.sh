#!/usr/bin/env bash
# Creates a Cloud TPU VM or slice, installs this repository on every worker and starts one
# training command on all of them; makes the TPU again when it is taken away. See usage().
set -euo pipefail

usage() {
  cat <<'TEXT'
Train on a Cloud TPU VM or slice.

  ./launch_tpu.sh --name=NAME --zone=ZONE [options] -- TRAINING ARGUMENTS
  ./launch_tpu.sh --name=NAME --zone=ZONE --follow | --status | --stop | --delete

The first form creates the TPU (or reuses the one of that name), copies the commit that
is checked out to every worker, installs it there in the versions of constraints-*.txt,
and starts `python -m experiments.train TRAINING ARGUMENTS --multihost` on every worker.

  --name=NAME              the TPU to create or reuse
  --zone=ZONE              its zone, for example us-west4-a
  --project=PROJECT        the cloud project (default: the one gcloud is set to)
  --accelerator_type=TYPE  for example v5litepod-8 (the default), v5p-16, v6e-32
  --runtime_version=V      TPU software version (default: the one for the type)
  --spot                   a cheaper TPU that may be taken away at any moment
  --reserved               a TPU of your reservation
  --queued                 ask with a queued resource, and wait until there is a TPU
  --max_wait=DURATION      give the queue up after so long, for example 90m or 2d
                           (default: 24h)
  --max_recreations=N      make a TPU that is taken away again, and resume, at most N
                           times (default: 20 with --spot and a --workdir=gs://...,
                           else 0)
  --setup=COMMAND          shell command that every worker runs after installing, for
                           example to mount a disk
  --python=VERSION         the Python installed on the workers (default: 3.11)
  --detach                 return once training runs, instead of showing its log; a TPU
                           that is taken away is then not made again
  --delete_after           delete the TPU when training has succeeded
  --allow_dirty            launch although edits of tracked files are not committed;
                           they are not sent
  --dry_run                print the commands and run none of them
  --help                   print this page

The second form takes --name, --zone and --project alone:

  --follow                 show the log of what is running
  --status                 print the state of the TPU, of its queued resource and of the
                           training on each worker
  --stop                   save and stop the training; the TPU stays
  --delete                 save and stop the training; delete the TPU and its queued
                           resource, whatever their states

The training arguments must hold --config and --workdir. All workers of a slice must
see the same --workdir and --data_dir: use a bucket (gs://...) or a shared disk.

A TPU is taken away when its state is PREEMPTED or TERMINATED, its queued resource is
SUSPENDED, or it is gone. It is then deleted and made again, and the training goes on
from its newest checkpoint, for as long as this script runs. A training that fails by
itself is not repeated. The same command goes on after each end.

On each worker everything lies in ~/wavenet_for_jax: src/ (the code), env/ (the Python
environment), train.log, and train.exit (the exit code, once there is one). Training
goes on when the connection drops or you press Ctrl-C; --follow shows it again.

Before the first use: install the Google Cloud command-line tool, run
`gcloud auth login`, and for a slice of several workers `ssh-add
~/.ssh/google_compute_engine`.

  ./launch_tpu.sh --name=wavenet --zone=us-west4-a --queued --spot --delete_after -- \
    --config=experiments/configs/reference.py \
    --workdir=gs://BUCKET/runs/reference --data_dir=gs://BUCKET/data
TEXT
}

readonly POLL_S=${LAUNCH_TPU_POLL_S:-10} # between two looks at a state
readonly LOOKS=12                        # at a TPU whose connection broke
readonly STOP_S=300                      # for a training to save and end
readonly STOPPED=130                     # exit code of a training that --stop ended

say() { printf 'launch_tpu.sh: %s\n' "$*" >&2; }

# Ends the script for bad arguments, before anything is done.
refuse() {
  say "$*"
  exit 2
}

# Prints one word so that a POSIX shell reads it back unchanged.
quote() {
  local word=$1 quoted="'"
  if [[ $word =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]]; then
    printf '%s' "$word"
    return
  fi
  while [[ $word == *"'"* ]]; do
    quoted+="${word%%"'"*}'\\''"
    word=${word#*"'"}
  done
  printf '%s' "$quoted$word'"
}

quote_all() {
  local word separator=''
  for word in "$@"; do
    printf '%s' "$separator"
    quote "$word"
    separator=' '
  done
}

# step NAME COMMAND...: runs the command, or prints it in a dry run; returns its exit code.
step() {
  local name=$1 code=0
  shift
  if ((dry_run)); then
    printf '\n# %s\n%s\n' "$name" "$(quote_all "$@")"
    return
  fi
  say "$name ..."
  "$@" || code=$?
  ((code == 0)) || failed="the step \"$name\" failed with exit code $code."
  return "$code"
}

on_every_worker() {
  step "$1" "${tpu[@]}" ssh "$tpu_name" "${where[@]}" --worker=all "--command=$2"
}

say_cost() {
  say "the TPU $tpu_name is left as it is and still costs money; delete it with:" \
    "$(quote_all "${delete_command[@]}")"
}

# give_up CODE: ends the script with the last failure and, where there is a TPU, its cost.
give_up() {
  say "$failed"
  ((!tpu_exists || $1 == STOPPED)) || say_cost
  exit "$1"
}

# interrupted SENTENCE: ends the script at Ctrl-C.
interrupted() {
  [[ ! -t 2 ]] || printf '\n' >&2
  say "$1"
  exit 130
}

# state_in LIST COMMAND...: prints the state of what has the TPU's name, or nothing.
state_in() {
  local listed name state
  listed=$("$@") || return
  while read -r name state; do
    [[ $name != "$tpu_name" ]] || printf '%s' "$state"
  done <<<"$listed"
}

# Sets tpu_state, queue_state and the command that deletes what there is.
look() {
  tpu_state='' queue_state=''
  tpu_state=$(state_in "${list_command[@]}") || return
  ((!queued)) || queue_state=$(state_in "${queue_list_command[@]}") || return
  delete_command=("${tpu_delete_command[@]}")
  [[ ! $queue_state ]] || delete_command=("${queue_delete_command[@]}")
}

# Succeeds if the TPU was taken away, and sets lost to the state that tells.
taken_away() {
  look || return
  lost=${tpu_state:-gone}
  [[ $queue_state != SUSPEND* ]] || lost=$queue_state
  [[ $lost =~ ^(gone|PREEMPTED|TERMINATED|SUSPENDING|SUSPENDED)$ ]]
}

# taken_away_after CODE: the same. A state may lag behind a connection or a training that was
# ended from outside, and is looked at for a while.
taken_away_after() {
  local looks
  for ((looks = 1; ; looks++)); do
    ! taken_away || return 0
    [[ $1 =~ ^(137|143|255)$ ]] && ((looks < LOOKS)) || return 1
    sleep "$POLL_S"
  done
}

# show_state STATE SECONDS: the one line of a wait; in a log, a line for each new state.
show_state() {
  local elapsed text
  printf -v elapsed '%d:%02d:%02d' $(($2 / 3600)) $(($2 / 60 % 60)) $(($2 % 60))
  text="the queued resource $tpu_name is $1 ($elapsed of at most $max_wait)"
  if [[ -t 2 ]]; then
    printf '\r\033[Klaunch_tpu.sh: %s' "$text" >&2
  elif [[ $1 != "$shown_state" ]]; then
    say "$text"
  fi
  shown_state=$1
}

# Waits until the queued resource is ACTIVE; withdraws it if that does not come.
wait_in_queue() {
  local began=$SECONDS reason next='the same command asks again'
  ((!recreations)) || next=$(kept)
  shown_state=''
  trap 'interrupted "the request stays in the queue; --delete withdraws it."' INT
  while :; do
    # A look that fails is no reason to end a wait of hours.
    queue_state=$(state_in "${queue_list_command[@]}") || queue_state=unknown
    show_state "${queue_state:=gone}" $((SECONDS - began))
    [[ ! $queue_state =~ ^(ACTIVE|FAILED|SUSPEND.*|DELETING|gone)$ ]] || break
    ((SECONDS - began < max_wait_s)) || break
    sleep "$POLL_S"
  done
  trap - INT
  [[ ! -t 2 ]] || printf '\n' >&2
  case $queue_state in
    ACTIVE)
      tpu_exists=1
      return
      ;;
    SUSPEND*)
      tpu_exists=1
      failed="the TPU $tpu_name was taken away before training began."
      return 1
      ;;
    DELETING | gone)
      failed="the queued resource $tpu_name was deleted, and this waits for it no longer."
      return 1
      ;;
    FAILED)
      reason="failed ($("${queue[@]}" describe "$tpu_name" "${where[@]}" \
        '--format=value(state.failedData.error.message)' || true))"
      ;;
    *) reason="brought no TPU within $max_wait" ;;
  esac
  if step 'withdraw the queued resource' "${delete_command[@]}"; then
    failed="the queued resource $tpu_name $reason and was withdrawn: $next."
  else
    failed="the queued resource $tpu_name $reason and is still there; delete it with:"
    failed+=" $(quote_all "${delete_command[@]}")"
  fi
  return 1
}

# Asks for the TPU, which without the queue comes at once or not at all.
create_tpu() {
  local code=0
  step "$create_title" "${create_command[@]}" || code=$?
  if ((code && recreations)); then
    failed="the TPU $tpu_name was taken away and could not be made again: $(kept)"
    failed+=" (--queued waits for a TPU)."
  fi
  return "$code"
}

# Reuses, creates or waits for the TPU. One that was taken away is a failure.
obtain_tpu() {
  local code=0
  if ((dry_run)); then
    step 'look for the TPU' "${list_command[@]}"
    ((!queued)) || step 'look for its queued resource' "${queue_list_command[@]}"
    step "$create_title (left out where it exists)" "${create_command[@]}"
    ((!queued)) || step 'wait until this says ACTIVE' "${queue_list_command[@]}"
    return
  fi
  look || code=$?
  if ((code)); then
    failed="the step \"look for the TPU\" failed with exit code $code."
    return "$code"
  fi
  case $tpu_state/$queue_state in
    READY/ | READY/ACTIVE)
      tpu_exists=1
      say "reusing the TPU $tpu_name."
      ;;
    /)
      create_tpu || return
      if ((queued)); then
        delete_command=("${queue_delete_command[@]}")
        wait_in_queue || return
      fi
      tpu_exists=1
      ;;
    /FAILED)
      step 'delete the failed queued resource' "${delete_command[@]}" || return
      obtain_tpu
      ;;
    */ACCEPTED | */CREATING | */WAITING_FOR_RESOURCES | */PROVISIONING) wait_in_queue ;;
    PREEMPTED/* | TERMINATED/* | */SUSPEND* | /ACTIVE)
      ((max_recreations)) || not_ready
      tpu_exists=1
      return 1
      ;;
    *) not_ready ;;
  esac
}

# Ends the script for a TPU that cannot be used as it is.
not_ready() {
  local state=$tpu_state
  [[ $tpu_state && $tpu_state != READY ]] || state=$queue_state
  say "the TPU $tpu_name exists but is ${state:-in an unknown state}, not READY:" \
    "wait for it, or delete it with: $(quote_all "${delete_command[@]}")"
  exit 1
}

# Copies the commit to every worker, installs it and starts training.
start_training() {
  step 'copy to every worker' "${tpu[@]}" scp "$archive" "$tpu_name:$home.tar.gz" \
    "${where[@]}" --worker=all || return
  on_every_worker 'install on every worker' "$install_script" || return
  [[ ! $setup ]] || on_every_worker 'set up every worker' "$setup_script" || return
  on_every_worker 'start training' "$start_script"
}

# Shows the log until training ends; a connection that broke is made again while the TPU is there.
watch_training() {
  local tries code began script=$follow_script
  trap 'interrupted "training goes on without this terminal; --follow shows it again."' INT
  for ((tries = 1; tries <= LOOKS; tries++)); do
    code=0 began=$SECONDS
    on_every_worker 'training' "$script" || code=$?
    if ((code != 255)) || taken_away; then break; fi
    ((SECONDS - began < 60)) || tries=1
    script=${follow_script/-n +1/-n 5}
    sleep "$POLL_S"
  done
  trap - INT
  case $code in
    "$STOPPED") failed="training was stopped with --stop or --delete; the same command goes on." ;;
    143) failed="training was ended by its worker and has saved; the same command goes on." ;;
    255) failed="the connection to the training broke; --follow shows it again." ;;
  esac
  return "$code"
}

# Everything from no TPU to the end of training.
launch() {
  obtain_tpu || return
  start_training || return
  ((detach)) || watch_training
}

# What is left of a training whose TPU was taken away.
kept() {
  if [[ $workdir == gs://* ]]; then
    printf '%s' "the checkpoints in $workdir are kept, and the same command goes on"
  else
    printf '%s' "the command that started it goes on from what its work directory still has"
  fi
}

# Deletes what is left of a TPU that was taken away, or ends the script if that was the last time.
delete_lost_tpu() {
  if ((recreations == max_recreations)); then
    say "the TPU $tpu_name was taken away ($lost) and is not made again" \
      "(--max_recreations=$max_recreations): $(kept)."
    exit 1
  fi
  recreations=$((recreations + 1))
  say "the TPU $tpu_name was taken away ($lost) and is made again" \
    "($recreations of at most $max_recreations times)."
  if [[ $tpu_state || $queue_state ]]; then
    step 'delete what is left of it' "${delete_command[@]}" || give_up "$?"
  fi
  tpu_exists=0
}

# Prints the states of the queued resource, of the TPU and of the training on each worker.
print_status() {
  [[ ! $queue_state ]] || printf 'queued resource %s: %s\n' "$tpu_name" "$queue_state"
  [[ ! $tpu_state ]] || printf 'TPU %s: %s\n' "$tpu_name" "$tpu_state"
  [[ $tpu_state != READY ]] ||
    "${tpu[@]}" ssh "$tpu_name" "${where[@]}" --worker=all "--command=$status_script"
}

# --- arguments -------------------------------------------------------------------

tpu_name='' zone='' project='' accelerator_type='' runtime_version='' setup=''
command='' launch_option='' known_version='' max_wait='' max_recreations=''
python_version=3.11
spot=0 reserved=0 queued=0 detach=0 delete_after=0 allow_dirty=0 dry_run=0
note_no_recreation=0

while (($#)); do
  case $1 in
    --name* | --zone* | --project* | --help | -h | --) ;;
    --follow | --status | --stop | --delete) ;;
    *) launch_option=${1%%=*} ;;
  esac
  case $1 in
    --help | -h)
      usage
      exit 0
      ;;
    --name=?*) tpu_name=${1#*=} ;;
    --zone=?*) zone=${1#*=} ;;
    --project=?*) project=${1#*=} ;;
    --accelerator_type=?*) accelerator_type=${1#*=} ;;
    --runtime_version=?*) runtime_version=${1#*=} ;;
    --max_wait=?*) max_wait=${1#*=} ;;
    --max_recreations=?*) max_recreations=${1#*=} ;;
    --setup=?*) setup=${1#*=} ;;
    --python=?*) python_version=${1#*=} ;;
    --spot) spot=1 ;;
    --reserved) reserved=1 ;;
    --queued) queued=1 ;;
    --detach) detach=1 ;;
    --delete_after) delete_after=1 ;;
    --allow_dirty) allow_dirty=1 ;;
    --dry_run) dry_run=1 ;;
    --follow | --status | --stop | --delete)
      [[ ${command:-$1} == "$1" ]] || refuse "$command and $1 exclude one another: give one."
      command=$1
      ;;
    --)
      shift
      break
      ;;
    --name* | --zone* | --project* | --accelerator_type* | --runtime_version* | \
      --max_wait* | --max_recreations* | --setup* | --python*)
      refuse "${1%%=*} needs a value, as in ${1%%=*}=VALUE."
      ;;
    *) refuse "unknown argument \"$1\"; training arguments stand after \"--\"" \
      "(--help lists the options)." ;;
  esac
  shift
done

[[ $tpu_name ]] || refuse "--name=NAME is missing (--help lists the options)."
[[ $tpu_name =~ ^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$ ]] ||
  refuse "--name=$tpu_name is no TPU name: use up to 40 small letters, digits and" \
    "hyphens, a letter first."
[[ $zone ]] || refuse "--zone=ZONE is missing, for example --zone=us-west4-a."

config='' workdir='' multihost=''
for ((i = 1; i <= $#; i++)); do
  next=$((i + 1))
  case ${!i} in
    --config=?*) config=${!i#*=} ;;
    --config) config=${!next-} ;;
    --workdir=?*) workdir=${!i#*=} ;;
    --workdir) workdir=${!next-} ;;
    --multihost* | --nomultihost) multihost=given ;;
  esac
done

# The TPU software that goes with JAX on each type; https://cloud.google.com/tpu/docs/runtimes,
# read on 2026-11-29. Types from TPU7x on are not created in this way.
version_for_type() {
  case $1 in
    v2-* | v3-* | v4-*) printf tpu-ubuntu2204-base ;;
    v5litepod-*) printf v2-alpha-tpuv5-lite ;;
    v5p-*) printf v2-alpha-tpuv5 ;;
    v6e-*) printf v2-alpha-tpuv6e ;;
  esac
}

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
commit=''
if [[ $command ]]; then
  [[ $command != --delete ]] || (($# == 0)) ||
    refuse "--delete deletes the TPU now and takes no training arguments; --delete_after" \
      "deletes it when training has succeeded."
  (($# == 0)) || refuse "$command starts nothing and takes no training arguments."
  [[ ! $launch_option ]] ||
    refuse "$command and $launch_option exclude one another: $command takes only --name," \
      "--zone and --project."
  queued=1 # there may be a queued resource
  max_recreations=0
else
  ((!(detach && delete_after))) ||
    refuse "--delete_after waits for the end of training and --detach does not: give one."
  ((!(spot && reserved))) || refuse "--spot and --reserved exclude one another: give one."
  [[ $config ]] || refuse "the training arguments after \"--\" lack --config=FILE."
  [[ $workdir ]] || refuse "the training arguments after \"--\" lack --workdir=DIR."
  [[ $multihost ]] || set -- "$@" --multihost

  : "${accelerator_type:=v5litepod-8}"
  [[ $accelerator_type =~ -[1-9][0-9]*$ ]] && known_version=$(version_for_type "$accelerator_type")
  [[ $known_version ]] ||
    refuse "no runtime version is known for --accelerator_type=$accelerator_type: give a type" \
      "such as v4-8, v5litepod-8, v5p-16 or v6e-32."
  [[ ${runtime_version:=$known_version} == "$known_version" ]] ||
    refuse "--runtime_version=$runtime_version does not go with" \
      "--accelerator_type=$accelerator_type, which takes $known_version."

  ((queued)) || [[ ! $max_wait ]] || refuse "--max_wait is for --queued: give both."
  [[ ${max_wait:=24h} =~ ^[1-9][0-9]{0,4}[smhd]$ ]] ||
    refuse "--max_wait=$max_wait is no duration: give for example 90m, 24h or 2d."
  max_wait_s=${max_wait%?}
  case $max_wait in
    *m) max_wait_s=$((max_wait_s * 60)) ;;
    *h) max_wait_s=$((max_wait_s * 3600)) ;;
    *d) max_wait_s=$((max_wait_s * 86400)) ;;
  esac

  if [[ $max_recreations ]]; then
    [[ $max_recreations =~ ^(0|[1-9][0-9]{0,3})$ ]] ||
      refuse "--max_recreations=$max_recreations is no number of times: give 0 or more."
    if ((max_recreations)); then
      ((!detach)) || refuse "--max_recreations needs this script to stay, and --detach does not."
      [[ $workdir == gs://* || $setup ]] ||
        refuse "--workdir=$workdir would be lost with the TPU: for --max_recreations use" \
          "gs://BUCKET/..., or mount a disk with --setup."
    fi
  elif ((spot && !detach)) && [[ $workdir == gs://* ]]; then
    max_recreations=20
  else
    max_recreations=0
    note_no_recreation=$spot
  fi

  git -C "$root" rev-parse --quiet --verify 'HEAD^{commit}' &>/dev/null ||
    refuse "$root is no git checkout with a commit, and a commit is what is sent."
  commit=$(git -C "$root" rev-parse HEAD)
  if ((!allow_dirty)) && ! git -C "$root" diff --quiet HEAD; then
    refuse "tracked files have edits that are not committed and would not be sent:" \
      "commit them, or give --allow_dirty."
  fi
  config_file=${config%%:*}
  [[ $config_file == /* ]] ||
    git -C "$root" cat-file -e "HEAD:$config_file" 2>/dev/null ||
    refuse "the config $config_file is not in the commit that is checked out, so the" \
      "workers would not have it."
fi

((dry_run)) || command -v gcloud >/dev/null ||
  refuse "gcloud is not on the PATH: install the Google Cloud command-line tool from" \
    "https://cloud.google.com/sdk/docs/install."

((!note_no_recreation)) ||
  say "a TPU that is taken away will not be made again, as it would be with" \
    "--workdir=gs://... and without --detach."

# --- commands --------------------------------------------------------------------

tpu=(gcloud compute tpus tpu-vm)
queue=(gcloud compute tpus queued-resources)
where=("--zone=$zone")
[[ ! $project ]] || where+=("--project=$project")

list_command=("${tpu[@]}" list "${where[@]}" '--format=value(name.basename(),state)')
queue_list_command=("${queue[@]}" list "${where[@]}"
  '--format=value(name.basename(),state.state)')
tpu_delete_command=("${tpu[@]}" delete "$tpu_name" "${where[@]}" --quiet)
queue_delete_command=("${queue[@]}" delete "$tpu_name" "${where[@]}" --force --quiet)

if ((queued)); then
  create_title='ask for the TPU'
  create_command=("${queue[@]}" create "$tpu_name" "--node-id=$tpu_name" "${where[@]}"
    "--accelerator-type=$accelerator_type" "--runtime-version=$runtime_version"
    "--valid-until-duration=$max_wait")
  delete_command=("${queue_delete_command[@]}")
else
  create_title='create the TPU'
  create_command=("${tpu[@]}" create "$tpu_name" "${where[@]}"
    "--accelerator-type=$accelerator_type" "--version=$runtime_version")
  delete_command=("${tpu_delete_command[@]}")
fi
((!spot)) || create_command+=(--spot)
((!reserved)) || create_command+=(--reserved)

# What the workers run. The lock is taken before training begins, which inherits it and
# holds it for as long as it lives, whatever becomes of the connection; gcloud repeats a
# command whose connection broke, so each of these may run twice without harm. Where the
# same commit is training with the same arguments, nothing is installed or started.
home=wavenet_for_jax
train="../env/bin/python -m experiments.train $(quote_all "$@")"
launched=$(quote "$commit $train")
leave_to_running_training="if [ \"\$(cat train.command)\" = $launched ]; then exit 0; fi
  echo \"\$(uname -n) is training something else; see it with --follow\" >&2
  exit 75"

constraints="constraints-3.13.txt"
[[ $python_version != 3.11* ]] || constraints="constraints-3.11.txt"
install_script="set -e
mkdir -p $home
cd $home
if ! flock -n train.lock true; then
  $leave_to_running_training
fi
rm -rf src
mkdir src
tar -xzf ../$home.tar.gz -C src
cd src
python3 -m pip install --quiet --user uv ||
  python3 -m pip install --quiet --user --break-system-packages uv
python3 -m uv venv --quiet --allow-existing --python $(quote "$python_version") ../env
python3 -m uv pip install --quiet --python ../env/bin/python \
--constraint $constraints '.[experiments,gcs,tpu]'"

setup_script="flock -n $home/train.lock true || exit 0
$setup"

# A training that a signal ended has saved and exits with 0, and is not at its end. The shell
# outlives the signal to record that.
run_and_record="trap : TERM
$train
code=\$?
if grep -q 'Stopped and saved at step' ../train.log; then code=143; fi
if [ -e ../train.stop ] && [ \$code != 0 ]; then code=$STOPPED; fi
echo \$code > ../train.exit"
start_script="set -e
cd $home
exec 9> train.lock
if ! flock -n 9; then
  $leave_to_running_training
fi
printf '%s\\n' $launched > train.command
rm -f train.exit train.stop
if [ -e train.log ]; then mv -f train.log train.previous.log; fi
cd src
setsid sh -c $(quote "$run_and_record") \
> ../train.log 2>&1 < /dev/null &
echo \$! > ../train.pid"

follow_script="cd $home 2>/dev/null && [ -s train.pid ] || {
  echo \"nothing was started on \$(uname -n)\" >&2
  exit 1
}
tail -n +1 -s 0.1 -f --pid=\"\$(cat train.pid)\" train.log |
  sed -u \"s/^/[\$(uname -n)] /\"
[ -s train.exit ] || {
  echo \"training on \$(uname -n) was killed\" >&2
  exit 137
}
exit \"\$(cat train.exit)\""

status_script="cd $home 2>/dev/null && [ -s train.pid ] || {
  echo \"[\$(uname -n)] no training was started\"
  exit 0
}
state='training runs'
if flock -n train.lock true; then
  state=\"training ended with exit code \$(cat train.exit || echo unknown)\"
fi
echo \"[\$(uname -n)] \$state: \$(tail -n 1 train.log)\""

# The training alone gets the signal: it still needs the processes of its loader.
stop_script="cd $home 2>/dev/null && ! flock -n train.lock true || {
  echo \"[\$(uname -n)] no training runs\"
  exit 0
}
pid=\$(cat train.pid)
touch train.stop
pkill -TERM -P \$pid
timeout $STOP_S tail -s 0.5 -f --pid=\$pid /dev/null || pkill -KILL -P \$pid
sleep 1
echo \"[\$(uname -n)] \$(tail -n 1 train.log)\""

# --- the steps -------------------------------------------------------------------

tpu_exists=0 recreations=0 code=0
tpu_state='' queue_state='' lost='' failed=''

if [[ $command ]]; then
  look || code=$?
  if ((code)); then
    failed="the step \"look for the TPU\" failed with exit code $code."
    give_up "$code"
  fi
  if [[ ! $tpu_state$queue_state ]]; then
    say "there is no TPU $tpu_name in $zone${project:+ of $project}."
    exit 1
  fi
  case $command in
    --status) print_status || code=$? ;;
    --delete)
      if [[ $tpu_state == READY ]]; then
        on_every_worker 'stop training' "$stop_script" || say "$failed"
      fi
      step 'delete the TPU' "${delete_command[@]}" || give_up "$?"
      ;;
    *)
      [[ $tpu_state == READY ]] || not_ready
      tpu_exists=1
      if [[ $command == --stop ]]; then
        on_every_worker 'stop training' "$stop_script" || give_up "$?"
      else
        watch_training || code=$?
        if ((code && code != STOPPED)) && taken_away_after "$code"; then delete_lost_tpu; fi
        ((code == 0)) || give_up "$code"
      fi
      say_cost
      ;;
  esac
  exit "$code"
fi

archive=$(git -C "$root" rev-parse --absolute-git-dir)/$home.$tpu_name.tar.gz
((dry_run)) || trap 'rm -f "$archive"' EXIT
step 'pack the commit' git -C "$root" archive --format=tar.gz "--output=$archive" "$commit" ||
  give_up "$?"

while :; do
  code=0
  launch || code=$?
  ((code)) || break
  if ((tpu_exists && code != STOPPED)) && taken_away_after "$code"; then
    delete_lost_tpu
  else
    give_up "$code"
  fi
done

if ((dry_run && !delete_after)); then
  :
elif ((delete_after)); then
  step 'delete the TPU' "${delete_command[@]}" || give_up "$?"
elif ((detach)); then
  say "training runs; see it with: $0 --name=$tpu_name $(quote_all "${where[@]}") --follow"
else
  say_cost
fi
