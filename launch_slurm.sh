#!/bin/bash
# One training on a Slurm cluster:
#
#   sbatch launch_slurm.sh --config=experiments/configs/reference.py \
#     --workdir=/shared/runs/reference --data_dir=/shared/corpora
#
# in a checkout with its .venv, on a disk that all nodes see. A process has one GPU; JAX finds the
# others by Slurm's variables. Other sizes are flags of sbatch, such as --nodes=4. Two minutes before
# the time is up, and where the job is preempted, Slurm sends SIGTERM: the training saves and ends, and
# the job goes back into the queue, MAX_REQUEUES times (20) at most. What failed is not repeated.
#
#SBATCH --job-name=wavenet
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=4
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=wavenet-%j.log

set -euo pipefail

say() { printf 'launch_slurm.sh: %s\n' "$*" >&2; }

if [ -z "${SLURM_JOB_ID:-}" ]; then
  say "this is no job of Slurm: say sbatch launch_slurm.sh --config=... --workdir=... --data_dir=..."
  exit 2
fi
case " $* " in
  *" --config="*" --workdir="* | *" --workdir="*" --config="*) ;;
  *)
    say "the arguments of the training must hold --config and --workdir"
    exit 2
    ;;
esac

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Slurm sends the signal to the training's processes, not to this shell.
trap '' TERM

say "job $SLURM_JOB_ID, restart ${SLURM_RESTART_COUNT:-0}: $SLURM_NTASKS processes"
srun --kill-on-bad-exit=1 .venv/bin/python -m experiments.train --multihost "$@" 2>&1 | tee "$log"

if grep -q '^Stopped and saved at step' "$log"; then
  if [ "${SLURM_RESTART_COUNT:-0}" -ge "${MAX_REQUEUES:-20}" ]; then
    say "restarted ${SLURM_RESTART_COUNT:-0} times already: sbatch the same command to go on"
    exit 1
  fi
  say "the training is not at its end: back into the queue"
  scontrol requeue "$SLURM_JOB_ID"
fi
