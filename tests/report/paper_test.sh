#!/usr/bin/env bash
# music_paper as a user runs it: a table, a second call, killed and interrupted,
# what is shared, jobs for other machines, and bad input.
#   paper_test.sh BUILD_DIR
set -u
source "$(dirname "${BASH_SOURCE[0]}")/../eval/common.sh"
source "$(dirname "${BASH_SOURCE[0]}")/../expect.sh"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
paper=$build/music_paper
said() { grep -qE -- "$2" "$1" || fail "no '$2' in: $(cat "$1")"; }
runs() { find "$1/runs" -maxdepth 1 -mindepth 1 -type d | wc -l; }

# CIFAR-10's files with a few images, the same in every run of the test.
image=0
cifar=$work/cifar
mkdir "$cifar"
images() {  # COUNT
  local i
  for ((i = 0; i < $1; i++)); do
    printf "\\x0$((i % 4))"
    seq $((image += 977)) 7 99999 | md5sum - | cut -c1-32 | awk '{
      for (n = 0; n < 96; n++) printf "%s", substr($0, n % 32 + 1) substr($0, 1, n % 32) }'
  done
}
for batch in 1 2 3 4 5; do images 16 >"$cifar/data_batch_$batch.bin"; done
images 20 >"$cifar/test_batch.bin"

# The declared tables at a scale of seconds.
own=$work/own
mkdir "$own"
cp "$here"/presets/paper/table{01,06,08,09}.toml "$own"
scales() {  # EPOCHS
  cat >"$own/scales.toml" <<END
scales = ["tiny", "other"]
[roles]
cifar = "CIFAR-10"
photos = "photographs"
[tiny]
about = "seconds"
changes = ["all of it"]
[tiny.family.imagenet]
data = "cifar"
base = "cifar10-cpu"
set = { "model.width" = 4, "augment.size" = 8, "optim.warmup_epochs" = 0, "train.checkpoint_every" = 4, "train.threads" = 1 }
own = ["optim.base_lr", "byol.target_momentum", "moco_v2.temperature"]
[tiny.family.imagenet.replace]
"train.epochs" = { 90 = 2, 100 = $1, 200 = 2, 800 = 2, 1000 = 2 }
"train.batch" = { 256 = 16, 512 = 16, 2048 = 16, 4096 = 4096 }
"loss.segment" = { 32 = 4, 64 = 8, 80 = 8, 96 = 8, 128 = 16 }
"model.projector" = { 128 = 16, 256 = 16, 2048 = 32, 4096 = 32, 8160 = 32, 8192 = 32 }
[tiny.evaluate]
linear = { program = "music_linear", arguments = ["{run}", "--data", "{data}", "--cached", "--wd", "0.01,0.05", "--train.threads", "1"] }
semi-1pct = { reason = "too few images" }
semi-10pct = { reason = "too few images" }
[tiny.band]
margin = 0
noise = 1
source = "none"
[other]
about = "another one"
[other.family.imagenet]
data = "photos"
[other.evaluate]
linear = { program = "music_linear", arguments = ["{run}", "--data", "{photos}"] }
[other.band]
source = "none"
END
}
scales 2
out=$work/out
tiny=("$paper" --declarations "$own" --scale tiny --data cifar="$cifar" --out "$out")

# Two rows, and a second call.
"${tiny[@]}" 8 --rows de-oe,de-oe-ti >"$work/table" 2>"$work/log" || fail "table 8: $(cat "$work/log")"
said "$work/table" '^  DE\+OE +top-1 +65\.4 +[0-9.]+ '
said "$work/table" 'claim not run: all three terms'
(($(runs "$out") == 2)) || fail "$(runs "$out") runs of two rows"
for file in table08.md table08.json paper.html paper.json rows/table08-de-oe.{json,log}; do
  [[ -s $out/$file ]] || fail "no $file"
done
said "$out/rows/table08-de-oe.log" '^music_train --preset cifar10-cpu .*--loss.invariance none'
said "$out/table08.md" '^\| DE\+OE \| top-1 \| 65\.4 \| '
files() { (cd "$out" && find runs scores -type f -printf '%p %T@\n' | sort | sha256sum); }
before=$(files)
"${tiny[@]}" 8 --rows de-oe,de-oe-ti >"$work/again" 2>"$work/log" || fail "a second call"
[[ ! -s $work/log ]] || fail "a second call ran: $(cat "$work/log")"
[[ $(files) == "$before" ]] || fail "a second call wrote"
cmp -s "$work/table" "$work/again" || fail "a second call says something else"
# Rows of other tables with the same pre-training and evaluation run nothing.
"${tiny[@]}" 9 --rows ds-80 --json >"$work/json" 2>"$work/log" || fail "table 9"
[[ ! -s $work/log ]] || fail "a shared row ran: $(cat "$work/log")"
said "$work/json" '"label": "D_S 80"'
# Files have the rows of all calls.
"${tiny[@]}" 8 --rows de-oe >/dev/null || fail "one row"
said "$out/table08.md" '^\| DE\+OE\+TI \| top-1 '
said "$out/paper.html" 'href="#table09"'
# Time and memory are of the run.
"${tiny[@]}" 6 --rows depth-2 >"$work/table" 2>"$work/log" || fail "table 6"
said "$work/table" 'hours / 100 epochs +8\.5 +[0-9.e-]+ measured'
said "$work/table" 'GB / process +10\.4 +[0-9.e-]+ measured'
# The data may move; what has run stays.
mv "$cifar" "$work/moved"
tiny=("$paper" --declarations "$own" --scale tiny --data cifar="$work/moved" --out "$out")
"${tiny[@]}" 8 --rows de-oe,de-oe-ti >"$work/again" 2>"$work/log" || fail "data that moved"
[[ ! -s $work/log ]] || fail "data that moved ran again: $(cat "$work/log")"
expect 2 "cifar is not there; expected CIFAR-10" "$paper" 8 --declarations "$own" \
  --scale tiny --data cifar="$cifar" --out "$out"

# Half-written results are made anew, and said.
record=$(find "$out/scores" -name '*.json' | head -1)
truncate -s 100 "$record"
"${tiny[@]}" 8 --rows de-oe,de-oe-ti >"$work/table" 2>"$work/log" || fail "a damaged record"
said "$work/log" "linear; .*scores/.*json is damaged"
cmp -s "$work/table" "$work/again" || fail "a damaged record: other numbers"
for text in '{"scores": 5}' '{"scores": [1]}' '{"scores": [{"name": 5}]}'; do
  echo "$text" >"$record"
  "${tiny[@]}" 8 --rows de-oe,de-oe-ti >/dev/null 2>"$work/log" || fail "a record $text"
  said "$work/log" "linear; .*scores/.*json is damaged"
done
echo '{"seeds": "x", "rows": [{"id": 5}]}' >"$out/table08.json"
echo '{"scale": 5}' >"$out/paper.json"
rm -r "$out/rows"
"${tiny[@]}" 8 --rows de-oe >/dev/null 2>"$work/log" || fail "a damaged folder: $(cat "$work/log")"
said "$out/paper.json" '"scale": "tiny"'
: >"$out/rows/table08-de-oe.json"
"${tiny[@]}" 8 --rows de-oe >/dev/null 2>"$work/log" || fail "a damaged row: $(cat "$work/log")"

# A row that fails is a line; the rest goes on. (A batch above the images.)
"${tiny[@]}" 1 --rows music,byol,pirl >"$work/table" 2>"$work/log"
(($? == 3)) || fail "a failed row's exit code"
said "$work/table" 'note: BYOL: top-1, top-5: music_train ended with exit code 2: .*batch'
said "$work/table" 'note: PIRL: PIRL is not a method of this engine'
said "$work/table" 'MUSIC +top-1 +73\.6 +[0-9]'
said "$work/log" 'music_paper: \[paper\] 1 of 3 rows have no number because a program failed'

# So is an evaluation's.
sed -i 's/"0.01,0.05"/"0"/' "$own/scales.toml"
"${tiny[@]}" 8 --rows de-oe >"$work/table" 2>"$work/log"
(($? == 3)) || fail "a failed evaluation's exit code: $(cat "$work/log")"
said "$work/table" 'note: DE\+OE: music_linear ended with exit code [0-9]+: '

# Stopped and killed, the run goes on from its checkpoint, to the same weights.
scales 400
long=$work/long
goes=("$paper" 8 --declarations "$own" --scale tiny --data cifar="$work/moved" --rows oe-ti --out "$long")
stop() {  # SIGNAL CODE
  "${goes[@]}" >"$work/table" 2>"$work/log" &
  local pid=$! steps=0
  local first
  first=$(cat "$long"/runs/*/metrics.jsonl 2>/dev/null | grep -c '"step"')
  until ((steps > first + 8)); do
    kill -0 $pid 2>/dev/null || break
    sleep 0.02
    steps=$(cat "$long"/runs/*/metrics.jsonl 2>/dev/null | grep -c '"step"')
  done
  kill "-$1" $pid
  wait $pid 2>/dev/null
  local code=$?
  ((code == $2)) || fail "$1: exit $code, expected $2: $(cat "$work/log")"
}
stop INT 130
said "$work/table" 'OE\+TI +top-1 +64\.1 +- '
[[ -n $(find "$long"/runs/*/ckpt -name 'step_*') ]] || fail "no checkpoint after SIGINT"
stop KILL 137
for ((i = 0; i < 250; i++)); do  # its child ends with it
  pgrep -f "music_train.*$long/" >/dev/null || break
  sleep 0.02
done
pgrep -f "music_train.*$long/" >/dev/null && fail "music_train outlives music_paper"
scales 2000  # where it goes on as declared, and is not what was declared before
"${goes[@]}" --dry-run >"$work/dry" || fail "--dry-run"
said "$work/dry" 'train.epochs 2000'
scales 400
stop TERM 143
said "$long"/runs/*.log 'goes on at step [0-9]+ of'
# Another one at the same time is refused.
"${goes[@]}" >/dev/null 2>&1 &
first=$!
until pgrep -f "music_train.*$long/" >/dev/null; do sleep 0.02; done
expect 2 'long is in use by another music_paper' "${goes[@]}"
kill -INT $first
wait $first

# Declared otherwise than when it ran: named, and run again.
scales 3
"${tiny[@]}" 8 --rows de-oe >"$work/table" 2>"$work/log" || fail "a changed declaration: $(cat "$work/log")"
said "$work/log" 'table08 de-oe is declared otherwise than when it ran: train.epochs 2 -> 3'
said "$work/table" 'note: DE\+OE: declared otherwise than before: train.epochs 2 -> 3'
scales 2

# Jobs for other machines leave what music_paper takes up.
jobs=$work/jobs
rows=("$paper" 8 --declarations "$own" --scale tiny --data cifar="$work/moved" --rows de-oe,oe-ti)
elsewhere=("${rows[@]}" --out "$jobs")
"${elsewhere[@]}" --print-jobs mpirun >"$work/lines" || fail "--print-jobs mpirun"
bash -e "$work/lines" >/dev/null || fail "the lines: $(cat "$work/lines")"
"${elsewhere[@]}" >"$work/table" 2>"$work/log" || fail "after the jobs"
[[ ! -s $work/log ]] || fail "ran what the jobs had run: $(cat "$work/log")"
"${elsewhere[@]}" --print-jobs mpirun >"$work/lines"
(($(grep -c music_ "$work/lines") == 0)) || fail "jobs of what has run"
"${rows[@]}" --out "$work/none" --seeds 2 --np 4 --print-jobs slurm >"$work/job" || fail "slurm"
bash -n "$work/job" || fail "the batch script"
said "$work/job" '^#SBATCH --array=0-3$'
said "$work/job" '^#SBATCH --ntasks=4$'
"${rows[@]}" --out "$work/none" --np 4 --print-jobs mpirun >"$work/lines"
said "$work/lines" '^mpirun -np 4 .*/music_train '
MUSIC_AUGMENT_FLIP=0.3 "${rows[@]}" --out "$work/none" --print-jobs mpirun >"$work/lines"
said "$work/lines" '^export MUSIC_AUGMENT_FLIP=0.3$'
[[ ! -e $work/none ]] || fail "--print-jobs made a folder"
expect 2 'has results of scale tiny' "$paper" 8 --declarations "$own" --scale other \
  --data photos="$work/moved" --out "$out" --print-jobs mpirun
"$paper" --declarations "$own" --scale tiny --rows de-oe --data cifar="$work/moved" 8 --dry-run \
  >"$work/dry" || fail "a table behind --data and --rows"
said "$work/dry" '^music_train '

# Bad input.
expect 2 'no table 12; expected 1, 6, 8, 9 or all' "${tiny[@]}" 12
expect 2 'no table 12; expected 1, 2, .*11 or all' "$paper" 12
expect 2 '"eight": expected a table.s number, or all' "${tiny[@]}" eight
expect 2 'no row "de-eo" \(did you mean de-oe\?\); expected one of de-oe, oe-ti' "${tiny[@]}" 8 --rows de-eo
expect 2 'unknown scale "minuten" \(did you mean minutes\?\); expected one of full, imagenet100' \
  "$paper" 8 --scale minuten
expect 2 'no role cifra \(did you mean cifar\?\)' "${tiny[@]}" 8 --data cifra="$work"
expect 2 '--data photos: expected ROLE=PATH' "${tiny[@]}" 8 --data photos
expect 2 'scale minutes has no images; expected --data cifar=PATH \(CIFAR-10' \
  "$paper" 8 --scale minutes --out "$work/x"
[[ ! -e $work/x ]] || fail "a folder for nothing"
expect 2 'out has results of scale tiny; expected another --out for other' \
  "$paper" 8 --declarations "$own" --scale other --data photos="$work/moved" --out "$out"
expect 2 'moved is a folder of other things' "${rows[@]}" --out "$work/moved"
expect 2 '--np is of --print-jobs' "${tiny[@]}" 8 --np 2
expect 2 'expected a folder with scales.toml' "$paper" 8 --declarations "$work/nowhere"
sed 's|"de-oe"|"../de-oe"|' "$own/table08.toml" >"$work/row" && mv "$work/row" "$own/table08.toml"
expect 2 'id "../de-oe": expected small letters' "${tiny[@]}" 8
echo 'number = [' >"$own/table08.toml"
expect 2 'table08.toml:' "${tiny[@]}" 8
"$paper" all --list >"$work/list" || fail "--list"
said "$work/list" '^Table 11: CIFAR-10'
said "$work/list" '^  npid +NPID  200-NN 46.5; NPID is not a method'

((failures == 0)) && echo "the paper as commands: all as described"
exit $((failures > 0))
