#!/bin/bash
# AlexNet on 8 machines of 8 GPUs, under SLURM:  sbatch docs/examples/slurm.sh
# Fit to your cluster: the partition, the folder of the shards, the shared folder of the run.
#SBATCH --job-name=alexnet
#SBATCH --nodes=8
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=04:00:00
#SBATCH --requeue
# two minutes before the end, so that the run can write its checkpoint
#SBATCH --signal=TERM@120

set -euo pipefail

DATA=${DATA:-/data/imagenet-256px}
OUT=${OUT:-$PWD/runs/imagenet}
HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

# a requeued job goes on with the run that is there
RESUME=""
if [ -f "$OUT/checkpoint.safetensors" ]; then RESUME=--resume; fi

srun .venv/bin/torchrun \
    --nnodes "$SLURM_NNODES" --nproc-per-node 8 --max-restarts 3 \
    --rdzv-id "$SLURM_JOB_ID" --rdzv-backend c10d --rdzv-endpoint "$HEAD:29500" \
    -m alexnet_lib train --data "$DATA" --recipe modern --batch-size 8192 \
    --device cuda --out "$OUT" $RESUME
