#!/usr/bin/env bash
# Everything there is to know about this code on a GPU, in one command and as text.
#
#   benches/gpu.sh pack   where Rust is: builds the test suite, the benches and the program into target/gpu
#   benches/gpu.sh run    where the GPU is (no Rust needed): runs them, and PyTorch on the same work, and
#                         writes benches/results/DATE-GPU.txt
#
# The GPU suite is the op tests themselves, each kernel against its definition in Rust, and before them the
# conformance tests, each instruction against the emulator.
set -uo pipefail
cd "$(dirname "$0")/.."
kit=target/gpu

pack() {
  set -e
  mkdir -p "$kit"
  built() { # the executable cargo names for one target
    cargo "$@" --message-format=json | python3 -c 'import json, sys
for line in sys.stdin:
    made = json.loads(line)
    if made.get("executable"): print(made["executable"])' | tail -n 1
  }
  cp "$(built build --release --bin selfsame)" "$kit/selfsame"
  cp "$(built test --release --no-run --test ops)" "$kit/test-ops"
  cp "$(built test --release --no-run --test graph)" "$kit/test-graph"
  cp "$(built test --release --features emulator --no-run --test conformance)" "$kit/test-conformance"
  cp "$(built bench --no-run --bench ops)" "$kit/bench-ops"
  cp "$(built bench --no-run --bench step)" "$kit/bench-step"
  strip "$kit"/*
  git rev-parse --short HEAD >"$kit/commit"
  ls -l "$kit"
}

part() { printf '\n## %s\n\n' "$1"; }

report() {
  echo "date    $(date -u +%Y-%m-%dT%H:%MZ)"
  echo "commit  $(cat "$kit/commit")"
  nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,memory.total --format=csv
  export SELFSAME_DEVICE=cuda
  part "Doctor: driver, kernels, self-test"
  "$kit/selfsame" doctor
  part "Conformance: each instruction, against the emulator that the kernels are proven on"
  "$kit/test-conformance" --test-threads 1
  part "GPU test suite: every kernel against its definition, f32 and bf16"
  "$kit/test-ops" --test-threads 1
  part "Captured steps against eager ones"
  "$kit/test-graph" --test-threads 1
  part "Kernels alone, at ResNet-50's sizes"
  "$kit/bench-ops" --bench
  part "Whole steps"
  "$kit/bench-step" --bench
  part "SimCLR on synthetic images"
  rm -rf "$kit/run" && "$kit/selfsame" train synthetic --device cuda --max-time 60s --out "$kit/run"
  part "Where a step's time goes: each kernel and its share of the roofline"
  rm -rf "$kit/run" && "$kit/selfsame" train synthetic --device cuda --steps 50 --trace --out "$kit/run"
  for model in "resnet18-cifar 1024 32" "resnet50 128 224"; do
    set -- $model
    part "PyTorch: $1, batch $2"
    python3 benches/peers/resnet_step.py --arch "$1" --batch "$2" --size "$3" --nhwc --device cuda
  done
}

run() {
  [ -x "$kit/selfsame" ] || { echo "gpu.sh: nothing in $kit; run 'benches/gpu.sh pack' where Rust is" >&2; exit 2; }
  if ! nvidia-smi -L 2>/dev/null | grep -q GPU; then
    echo "gpu.sh: no GPU on this machine; nothing was run" >&2
    exit 4
  fi
  mkdir -p benches/results
  name=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -n 1 | tr -cs 'A-Za-z0-9\n' '-')
  report 2>&1 | tee "benches/results/$(date -u +%Y-%m-%d)-$name.txt"
}

case "${1:-}" in
pack) pack ;;
run) run ;;
*) sed -n '2,9s/^# \{0,1\}//p' "$0" ;;
esac
