#!/usr/bin/env bash
# Everything there is to know about this code on a GPU, in one command, in ten minutes, and as text.
#
#   benches/gpu.sh pack          where Rust is: builds program, tests and benches into target/gpu.tar.gz
#   benches/gpu.sh run           where the GPU is (no Rust needed): runs all parts, PyTorch on the same work
#                                among them, and writes benches/results/DATE-GPU.txt
#   benches/gpu.sh part NAME     one of them: device tests ceilings kernels steps torch conv nt-xent
#                                determinism trace summary
#   benches/gpu.sh cifar IMAGES [METHOD [FLAGS OF TRAIN, e.g. --set schedule.epochs=400]]
#                                simclr, moco, swav, barlow or pirl on CIFAR-10, 200 epochs, then kNN. IMAGES: a
#                                folder or a tar file of train/CLASS/*.jpg and test/CLASS/*.jpg. It stops after
#                                TRAIN_TIME (510s); called again, it goes on.
#
# Parts stand in the order of their importance; each has a limit, so that none can eat the others' time.
# SELFSAME_DEVICE=cpu runs a part on the CPU, at its sizes: to try this file where there is no GPU.
set -uo pipefail
cd "$(dirname "$0")/.."
kit=target/gpu
archive=target/gpu.tar.gz
export SELFSAME_DEVICE=${SELFSAME_DEVICE:-cuda}

# Seconds; all of a run, and of each part.
budget=560
parts=(device:30 tests:110 ceilings:40 kernels:80 steps:80 torch:190 conv:50 nt-xent:60 determinism:60 trace:30)

# Megabytes that the archive may have.
largest=45

# The images and the steps of the curve that `pack` makes on the CPU and `determinism` repeats.
curve=(train synthetic:2048:16 --preset tiny --image-size 16 --batch 64 --steps 200 --seed 7 --log-every 1)

build() { # so many targets, stripped, into the kit; what is there stays
  cargo build --release "$@" --message-format=json | python3 -c 'import json, sys
for line in sys.stdin:
    made = json.loads(line)
    if made.get("executable"): print(made["target"]["kind"][0], made["target"]["name"], made["executable"])' |
    while read -r kind name executable; do
      case $kind in bin) name=selfsame ;; *) name=$kind-$name ;; esac
      [ -e "$kit/$name" ] || strip -o "$kit/$name" "$executable"
    done
}

pack() {
  set -e
  rm -rf "$kit" "$archive"
  mkdir -p "$kit"
  build --bin selfsame --bench ops --bench step --test ops --test graph
  build --features emulator --test conformance # which compares the GPU with the emulator
  git describe --always --dirty >"$kit/commit"
  SELFSAME_DEVICE=cpu "$kit/selfsame" "${curve[@]}" --device cpu --out "$kit/runs/cpu"
  cp "$kit/runs/cpu/metrics.jsonl" "$kit/cpu.jsonl"
  rm -r "$kit/runs"
  tar czf "$archive" -C target gpu
  ls -l "$kit" "$archive"
  if [ "$(stat -c %s "$archive")" -gt $((largest * 1000000)) ]; then
    echo "gpu.sh: $archive has more than $largest MB" >&2
    exit 1
  fi
}

unpack() {
  if [ -e "$archive" ] && [ ! "$kit/commit" -nt "$archive" ]; then
    mkdir -p target
    tar xzmf "$archive" -C target
  fi
  if [ ! -x "$kit/selfsame" ]; then
    echo "gpu.sh: no $archive; run 'benches/gpu.sh pack' where Rust is" >&2
    exit 2
  fi
  mkdir -p "$kit/parts"
}

need_gpu() {
  if [ "$SELFSAME_DEVICE" = cuda ] && ! nvidia-smi -L 2>/dev/null | grep -q GPU; then
    echo "gpu.sh: no GPU on this machine; nothing was run" >&2
    exit 4
  fi
}

# --- the parts; each says what it does first

part_device() {
  echo "date    $(date -u +%Y-%m-%dT%H:%MZ)"
  echo "commit  $(cat "$kit/commit")"
  nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit --format=csv
  nvidia-smi --query-gpu=clocks.sm,clocks.max.sm,clocks.mem,clocks.max.mem,temperature.gpu --format=csv
  "$kit/selfsame" doctor
}

part_tests() {
  echo "The conformance set, then every kernel against its definition in Rust, f32 and bf16, then captured"
  echo "steps against eager ones."
  local suite failed=0
  for suite in conformance ops graph; do
    if [ ! -x "$kit/test-$suite" ]; then
      echo "(no $suite tests in this kit)"
      continue
    fi
    "$kit/test-$suite" --test-threads 1 || failed=1
  done
  return "$failed"
}

part_ceilings() {
  echo "What PyTorch copies and multiplies on this card; ours stand at the head of the kernels' table."
  python3 benches/peers/gpu_ceilings.py --device "$SELFSAME_DEVICE"
}

# TB/s,TFLOP/s as `ceilings` found them, if it did.
ceilings() {
  sed -nE 's/.*  ([0-9.]+) (TB|TFLOP)\/s$/\1/p' "$kit/parts/ceilings.txt" 2>/dev/null | paste -sd, | grep ,
}

part_kernels() {
  echo "Each kernel alone at ResNet-50's shapes, batch 256: 20 launches as one graph, the median of five"
  echo "rounds or more."
  local found
  if found=$(ceilings); then
    "$kit/bench-ops" --table --roofline "$found"
  else
    "$kit/bench-ops" --table
  fi
}

part_steps() {
  echo "Whole training steps, ours. Supervised: forward, cross-entropy, backward, momentum SGD, on images that"
  echo "lie on the device. SimCLR: two views of each image cut and coloured from uint8 on the device, NT-Xent,"
  echo "LARS; images/s counts images, of two views each."
  "$kit/bench-step" --table
}

part_torch() {
  echo "The supervised steps in PyTorch: channels_last, cudnn.benchmark, fused SGD."
  python3 benches/peers/gpu_step.py --device "$SELFSAME_DEVICE" --seconds 180 --each 90
}

part_conv() {
  echo "cuDNN at the same convolutions, 20 launches as one graph."
  python3 benches/peers/gpu_conv.py --device "$SELFSAME_DEVICE"
}

part_nt-xent() {
  echo "NT-Xent, forward and backward, in PyTorch."
  python3 benches/peers/gpu_nt_xent.py --device "$SELFSAME_DEVICE"
}

part_determinism() {
  rm -rf "$kit/runs"
  echo "Three runs of one seed: the checkpoints' hashes, which must be one."
  local run
  for run in 1 2 3; do
    "$kit/selfsame" train synthetic:2048:32 --preset simclr-cifar --batch 128 --steps 24 --seed 7 \
      --device "$SELFSAME_DEVICE" --out "$kit/runs/$run" >"$kit/runs-$run.log" 2>&1 || cat "$kit/runs-$run.log"
  done
  sha256sum "$kit"/runs/[123]/checkpoints/*/*.safetensors
  local hashes
  hashes=$(sha256sum "$kit"/runs/[123]/checkpoints/*/*.safetensors | cut -d ' ' -f 1 | sort | uniq -c)
  local failed=0
  if [ "$(echo "$hashes" | awk '{ print $1 }')" = 3 ]; then
    echo "equal, bit for bit"
  else
    echo "NOT EQUAL"
    failed=1
  fi
  echo
  echo "The loss of 200 steps of a small network, against the CPU's, made where this kit was packed."
  local precision
  for precision in f32 bf16; do
    "$kit/selfsame" "${curve[@]}" --device "$SELFSAME_DEVICE" --precision "$precision" \
      --out "$kit/runs/$precision" >"$kit/runs-$precision.log" 2>&1 || cat "$kit/runs-$precision.log"
  done
  python3 benches/gpu/curves.py "$kit/cpu.jsonl" "$kit"/runs/{f32,bf16}/metrics.jsonl || failed=1
  return "$failed"
}

part_trace() {
  echo "Where a step's time goes, launched one by one: each kernel and its share of our own roofline."
  "$kit/bench-step" --trace
}

# Ours from part $1 beside theirs from part $2.
join() {
  local table
  echo
  for table in "$1" "$2"; do
    if [ ! -s "$kit/parts/$table.txt" ]; then
      echo "(nothing to compare: no table of $table)"
      return 1
    fi
  done
  python3 benches/gpu/compare.py "$kit/parts/$1.txt" "$kit/parts/$2.txt"
}

part_summary() {
  echo "Ours beside theirs: convolutions and cuDNN, NT-Xent, whole supervised steps; of a step the quickest"
  echo "of ours and the quickest of PyTorch's."
  local failed=0 theirs
  for theirs in conv nt-xent; do join kernels "$theirs" || failed=1; done
  join steps torch || failed=1
  return "$failed"
}

# --- all of them

# Runs part $1 for at most $2 seconds; its output is kept for the parts that join it.
run_part() {
  printf '\n## %s\n\n' "$1"
  local begun=$SECONDS status
  timeout --kill-after 5 "$2" "$BASH" "$0" part "$1" 2>&1
  status=$?
  case $status in
  0) echo "($1: $((SECONDS - begun)) s)" ;;
  124 | 137) echo "($1: STOPPED at its limit of $2 s)" ;;
  *) echo "($1: FAILED, exit status $status after $((SECONDS - begun)) s)" ;;
  esac
  return "$status"
}

report() {
  SECONDS=0
  local entry name limit left failed=0
  for entry in "${parts[@]}"; do
    name=${entry%:*} limit=${entry#*:}
    left=$((budget - SECONDS))
    if [ "$left" -lt 10 ]; then
      printf '\n## %s\n\n(%s: NOT REACHED, the %s s are over)\n' "$name" "$name" "$budget"
      failed=1
    else
      run_part "$name" $((limit < left ? limit : left)) || failed=1
    fi
  done
  run_part summary 10 || failed=1
  return "$failed"
}

run() {
  need_gpu
  unpack
  rm -f "$kit"/parts/*
  mkdir -p benches/results
  local card=$SELFSAME_DEVICE
  if [ "$card" = cuda ]; then
    card=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -n 1 | tr -cs 'A-Za-z0-9\n' '-')
  fi
  report 2>&1 | tee "benches/results/$(date -u +%Y-%m-%d)-$card.txt"
}

part() {
  if ! declare -F "part_$1" >/dev/null; then
    echo "gpu.sh: no part $1" >&2
    exit 2
  fi
  need_gpu
  unpack
  "part_$1" | tee "$kit/parts/$1.txt"
}

# 200 epochs of CIFAR-10 at a batch of 512. lightly's benchmark has, by kNN: SimCLR 84.8 %, MoCo 84.7, SwAV 84.2
# (by Adam, which is not here), Barlow Twins 81.9; nobody has published PIRL's.
recipe_of() {
  case $1 in
  simclr) recipe=(--preset simclr-cifar --optimizer sgd --lr "linear 0.12" --weight-decay 5e-4 --warmup 0) ;;
  moco | swav | barlow | pirl) recipe=(--preset "$1-cifar") ;;
  *)
    echo "gpu.sh: cifar trains simclr, moco, swav, barlow or pirl, not $1" >&2
    exit 2
    ;;
  esac
  recipe+=(--epochs 200 --batch 512)
}

# So that kNN after it ends within ten minutes too.
train_time=${TRAIN_TIME:-510s}

cifar() {
  local images=${1:?a folder or a tar file of train/CLASS/*.jpg and test/CLASS/*.jpg} method=${2:-simclr}
  shift $(($# < 2 ? $# : 2))
  recipe_of "$method"
  need_gpu
  unpack
  if [ -f "$images" ]; then
    if [ ! -d "$kit/cifar" ]; then
      mkdir -p "$kit/cifar.part"
      tar xf "$images" -C "$kit/cifar.part" && mv "$kit/cifar.part" "$kit/cifar"
    fi
    images=$kit/cifar
  fi
  local train
  train=$(find "$images" -maxdepth 2 -type d -name train | head -n 1)
  if [ ! -d "${train%train}test" ] || [ -z "$train" ]; then
    echo "gpu.sh: no train/ and test/ in $images" >&2
    exit 3
  fi
  local run=$kit/cifar-$method test=${train%train}test status=0
  if [ -e "$run/config.toml" ]; then
    "$kit/selfsame" resume "$run" --max-time "$train_time" || status=$?
  else
    "$kit/selfsame" train "$train" --val "$test" "${recipe[@]}" --device "$SELFSAME_DEVICE" \
      --max-time "$train_time" --out "$run" "$@" || status=$?
  fi
  case $status in
  0 | 75) "$kit/selfsame" eval knn --weights "$run" --train "$train" --val "$test" --k 200 --temperature 0.1 ;;
  *) exit "$status" ;;
  esac
}

case "${1:-}" in
pack) pack ;;
run) run ;;
part) part "${2:-}" ;;
cifar) cifar "${@:2}" ;;
*) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0" ;;
esac
