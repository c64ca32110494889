#!/usr/bin/env bash
# Creates a Cloud TPU VM or slice, installs this repository on every worker and
# starts one training command on all of them. See usage() below.
set -euo pipefail

usage() {
  cat <<'TEXT'
Train on a Cloud TPU VM or slice.

  ./launch_tpu.sh --name=NAME --zone=ZONE [options] -- TRAINING ARGUMENTS
  ./launch_tpu.sh --name=NAME --zone=ZONE --follow

Creates the TPU (or reuses the one of that name), copies the commit that is checked
out to every worker, installs it there, and starts
`python -m experiments.train TRAINING ARGUMENTS --multihost` on every worker.

  --name=NAME              the TPU to create or reuse
  --zone=ZONE              its zone, for example us-west4-a
  --project=PROJECT        the cloud project (default: the one gcloud is set to)
  --accelerator_type=TYPE  for example v5litepod-8 (the default), v5p-16, v6e-32
  --runtime_version=V      TPU software version (default: the one for the type)
  --spot                   a cheaper TPU that may be taken away at any moment
  --setup=COMMAND          shell command that every worker runs after installing, for
                           example to mount a bucket
  --python=VERSION         the Python installed on the workers (default: 3.11)
  --detach                 return once training runs, instead of showing its log
  --follow                 show the log of what is already running, start nothing
  --delete                 delete the TPU when training has succeeded
  --allow_dirty            launch although edits of tracked files are not committed;
                           they are not sent
  --dry_run                print the commands and run none of them
  --help                   print this page

The training arguments must hold --config and --workdir. All workers of a slice must
see the same --workdir and --data_dir: use a bucket (gs://...) or a shared disk.

On each worker everything lies in ~/wavenet_for_jax: src/ (the code), env/ (the Python
environment), train.log, and train.exit (the exit code, once there is one). Training
goes on when the connection drops or you press Ctrl-C; --follow shows it again.

Before the first use: install the Google Cloud command-line tool, run
`gcloud auth login`, and for a slice of several workers `ssh-add
~/.ssh/google_compute_engine`.

  ./launch_tpu.sh --name=wavenet --zone=us-west4-a --spot --delete -- \
    --config=experiments/configs/reference.py \
    --workdir=gs://BUCKET/runs/reference --data_dir=gs://BUCKET/data
TEXT
}

say() { printf 'launch_tpu.sh: %s\n' "$*" >&2; }

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

# step NAME COMMAND...: runs the command, or prints it in a dry run; stops on failure.
step() {
  local name=$1 code=0
  shift
  if ((dry_run)); then
    printf '\n# %s\n%s\n' "$name" "$(quote_all "$@")"
    return
  fi
  say "$name ..."
  "$@" || code=$?
  if ((code)); then
    give_up "$name" "$code"
  fi
}

give_up() {
  say "the step \"$1\" failed with exit code $2."
  if ((tpu_exists)); then
    say "the TPU $tpu_name is left as it is and still costs money; delete it with:" \
      "$(quote_all "${delete_command[@]}")"
  fi
  exit "$2"
}

on_every_worker() {
  step "$1" "${tpu[@]}" ssh "$tpu_name" "${where[@]}" --worker=all "--command=$2"
}

# --- arguments -------------------------------------------------------------------

tpu_name='' zone='' project='' accelerator_type='' runtime_version='' setup=''
python_version=3.11
spot=0 detach=0 follow=0 delete=0 allow_dirty=0 dry_run=0

while (($#)); do
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
    --setup=?*) setup=${1#*=} ;;
    --python=?*) python_version=${1#*=} ;;
    --spot) spot=1 ;;
    --detach) detach=1 ;;
    --follow) follow=1 ;;
    --delete) delete=1 ;;
    --allow_dirty) allow_dirty=1 ;;
    --dry_run) dry_run=1 ;;
    --)
      shift
      break
      ;;
    --name* | --zone* | --project* | --accelerator_type* | --runtime_version* | \
      --setup* | --python*)
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
((!(detach && delete))) ||
  refuse "--delete waits for the end of training and --detach does not: give one."
((!(detach && follow))) || refuse "--follow and --detach exclude one another: give one."

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

if ((follow)); then
  (($# == 0)) || refuse "--follow starts nothing and takes no training arguments."
else
  [[ $config ]] || refuse "the training arguments after \"--\" lack --config=FILE."
  [[ $workdir ]] || refuse "the training arguments after \"--\" lack --workdir=DIR."
  [[ $multihost ]] || set -- "$@" --multihost
fi

kind=${accelerator_type:=v5litepod-8}
if [[ ! $runtime_version ]]; then
  case $kind in
    v2-* | v3-* | v4-*) runtime_version='tpu-ubuntu2204-base' ;;
    v5litepod-*) runtime_version=v2-alpha-tpuv5-lite ;;
    v5p-*) runtime_version=v2-alpha-tpuv5 ;;
    v6e-*) runtime_version=v2-alpha-tpuv6e ;;
    *) refuse "no runtime version is known for --accelerator_type=$kind: give" \
      "--runtime_version=V." ;;
  esac
fi

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
if ((!follow)); then
  git -C "$root" rev-parse --quiet --verify 'HEAD^{commit}' &>/dev/null ||
    refuse "$root is no git checkout with a commit, and a commit is what is sent."
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

# --- commands --------------------------------------------------------------------

tpu=(gcloud compute tpus tpu-vm)
where=("--zone=$zone")
[[ ! $project ]] || where+=("--project=$project")

list_command=("${tpu[@]}" list "${where[@]}" '--format=value(name.basename(),state)')
create_command=("${tpu[@]}" create "$tpu_name" "${where[@]}"
  "--accelerator-type=$accelerator_type" "--version=$runtime_version")
((!spot)) || create_command+=(--spot)
delete_command=("${tpu[@]}" delete "$tpu_name" "${where[@]}" --quiet)

# What the workers run. The lock is taken before training begins, which inherits it and
# holds it for as long as it lives, whatever becomes of the connection; gcloud repeats a
# command whose connection broke, so each of these may run twice without harm.
home=wavenet_for_jax
constraints="constraints-3.13.txt"
[[ $python_version != 3.11* ]] || constraints="constraints-3.11.txt"
install_script="set -e
mkdir -p $home
cd $home
if ! flock -n train.lock true; then
  echo \"\$(uname -n) is training already; see it with --follow\" >&2
  exit 75
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

train="../env/bin/python -m experiments.train $(quote_all "$@")"
run_and_record="$train
echo \$? > ../train.exit"
start_script="set -e
cd $home/src
train=$(quote "$train")
exec 9> ../train.lock
if ! flock -n 9; then
  if [ \"\$(cat ../train.command)\" = \"\$train\" ]; then exit 0; fi
  echo \"\$(uname -n) is training something else; see it with --follow\" >&2
  exit 75
fi
printf '%s\\n' \"\$train\" > ../train.command
rm -f ../train.exit
if [ -e ../train.log ]; then mv -f ../train.log ../train.previous.log; fi
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

# --- the steps -------------------------------------------------------------------

tpu_exists=0
state=''
if ((dry_run)); then
  step 'look for the TPU' "${list_command[@]}"
else
  listed=$("${list_command[@]}") || give_up 'look for the TPU' "$?"
  while read -r listed_name listed_state; do
    if [[ $listed_name == "$tpu_name" ]]; then
      state=$listed_state
      tpu_exists=1
    fi
  done <<<"$listed"
  if ((tpu_exists)) && [[ $state != READY ]]; then
    say "the TPU $tpu_name exists but is ${state:-in an unknown state}, not READY:" \
      "wait for it, or delete it with: $(quote_all "${delete_command[@]}")"
    exit 1
  fi
fi

if ((follow && !dry_run && !tpu_exists)); then
  say "there is no TPU $tpu_name in $zone to follow."
  exit 1
elif ((tpu_exists)); then
  say "reusing the TPU $tpu_name."
elif ((!follow)); then
  title='create the TPU'
  ((!dry_run)) || title+=' (left out where it exists)'
  step "$title" "${create_command[@]}"
  tpu_exists=1
fi

if ((!follow)); then
  archive=$(git -C "$root" rev-parse --absolute-git-dir)/$home.$tpu_name.tar.gz
  ((dry_run)) || trap 'rm -f "$archive"' EXIT
  step 'pack the commit' git -C "$root" archive --format=tar.gz "--output=$archive" HEAD
  step 'copy to every worker' "${tpu[@]}" scp "$archive" "$tpu_name:$home.tar.gz" \
    "${where[@]}" --worker=all
  on_every_worker 'install on every worker' "$install_script"
  [[ ! $setup ]] || on_every_worker 'set up every worker' "$setup"
  on_every_worker 'start training' "$start_script"
fi

if ((detach)); then
  ((dry_run)) || say "training runs; see it with: $0 --name=$tpu_name" \
    "$(quote_all "${where[@]}") --follow"
  exit 0
fi

interrupted() {
  say "training goes on without this terminal; --follow shows it again."
  exit 130
}
trap interrupted INT
on_every_worker 'training' "$follow_script"
trap - INT

if ((delete)); then
  step 'delete the TPU' "${delete_command[@]}"
elif ((!dry_run)); then
  say "the TPU $tpu_name is left as it is and still costs money; delete it with:" \
    "$(quote_all "${delete_command[@]}")"
fi
