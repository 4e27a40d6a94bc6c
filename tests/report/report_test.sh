#!/usr/bin/env bash
# music_report as a user runs it: a trained run, several, and whatever is broken.
#   report_test.sh BUILD_DIR
set -u
here=$(dirname "${BASH_SOURCE[0]}")
source "$here/../eval/common.sh"
source "$here/../expect.sh"
source "$here/made_run.sh"
report() { "$build/music_report" "$@"; }
# A made-up run with the checkpoints of the trained one.
whole() {
  made_run "$@"
  rm -r "$1/ckpt"
  cp -r "$run/ckpt" "$1"
}
# has FILE TEXT...
has() {
  local file=$1 text
  shift
  for text; do grep -qF -- "$text" "$file" || fail "no '$text' in $file"; done
}

# A real run, scored, from nothing to its page.
"$build/music_attributes" --out "$work/data" --train 96 --test 48 --size 24 \
  --label colour >/dev/null || { echo "generator failed" >&2; exit 1; }
run=$work/run
"$build/music_train" --preset demo --augment.size 16 --model.width 4 --mlp 32-32 \
  --loss.segment 8 --batch-size 16 --epochs 2 --progress none --data "$work/data" \
  --out "$run" 2>/dev/null || fail "training"
"$build/music_knn" "$run" --train "$work/data/train" --test "$work/data/test" \
  >/dev/null 2>&1 || fail "music_knn"
has "$run/report.html" "finished: 2 epochs, 12 steps" "no score yet"  # by music_train
report "$run" >"$work/stdout" 2>"$work/stderr" || fail "exit $?"
[[ $(<"$work/stdout") == "$run/report.html" ]] || fail "said $(<"$work/stdout")"
[[ -s $work/stderr ]] && fail "complains of a whole run: $(<"$work/stderr")"
has "$run/report.html" "finished: 2 epochs, 12 steps" "20-NN top-1" 'data-chart="loss_oe"' \
  "default-src 'none'" "Permission is hereby granted" "optim.base_lr" "music_figures $run DATA"
report "$run" --out "$work/again.html" >/dev/null
cmp -s "$run/report.html" "$work/again.html" || fail "the same run, another page"

# A page that is opened by itself refers to nothing.
grep -oE '(src|href)="[^"]*"' "$run/report.html" | grep -vE '="(#|data:)' && fail "refers to the above"

# Several: what differs, labels that tell them apart, the same one twice.
whole "$work/a/run" 400 -3
whole "$work/b/run" 300 -2
expect 0 'b/\.\./b/run: given twice' report "$work/a/run" "$work/b/run" "$work/b/../b/run" \
  --title 'A & B' --out "$work/two.html"
has "$work/two.html" '<title>A &amp; B' '>a/run<' '>b/run<' 'what differs between the runs' \
  '<td>400</td><td>300</td>'

# Long: a spike stays, and the page is small.
whole "$work/long" 200000 -3
report "$work/long" >/dev/null || fail "long"
has "$work/long/report.html" '987.5'
(($(stat -c %s "$work/long/report.html") < 2000000)) || fail "$(ls -l "$work/long")"

# What is broken is told in a line, and the rest appears.
broken() {
  local pattern=$1
  expect 0 "$pattern" report "$work/broken" --out "$work/broken.html"
  has "$work/broken.html" '<h2 id="system">'
}
fresh() { rm -rf "$work/broken"; whole "$work/broken" 40 -3; }
fresh; printf '{"epoch":3,"st' >>"$work/broken/metrics.jsonl"; broken 'metrics.jsonl: the last line is not whole'
fresh; sed -i '5s/.*/oops/' "$work/broken/metrics.jsonl"; broken 'metrics.jsonl: 1 line that are no JSON.* line 5'
fresh; sed -i 's/"loss":[-0-9.]*/"loss":null/' "$work/broken/metrics.jsonl"
report "$work/broken" --out "$work/broken.html" >/dev/null; has "$work/broken.html" 'diverged: the loss is not finite'
fresh; rm "$work/broken/metrics.jsonl"; broken 'metrics.jsonl: not there'
fresh; rm "$work/broken/config.toml"; broken 'config.toml: not there .*: what the newest checkpoint says'
has "$work/broken.html" 'optim.base_lr' 'of the checkpoint'
fresh; echo 'rubbish here' >>"$work/broken/config.toml"; broken 'config.toml:[0-9]+: expected key = value'
fresh; echo '{' >"$work/broken/env.json"; broken 'env.json: no JSON object'
fresh; rm -r "$work/broken/logs"; broken 'rank-0000.log: not there'
fresh; rm -r "$work/broken/ckpt"; broken 'no checkpoints'
fresh; truncate -s 50 "$work"/broken/ckpt/step_*/manifest.json; broken 'no whole checkpoint'
fresh; rm "$work/broken/encoder.safetensors"; broken 'no encoder.safetensors'
has "$work/broken.html" 'at step 40 of 40'
fresh; sed -i 's/"record":1/"record":7/' "$work/broken/eval/knn.json"; broken 'knn.json: record 7, expected 1'
fresh; mkdir "$work/broken/figures"; echo '{"version":9}' >"$work/broken/figures/figures.json"
broken 'figures.json: expected a JSON object of version 1'
fresh; mkdir "$work/broken/figures"; echo '{"version":1,"files":{"p":"../x.png"}}' >"$work/broken/figures/figures.json"
broken 'expected a name in that folder'
expect 0 'data: no run: expected' report "$work/data" "$work/a/run" --out "$work/broken.html"
[[ -e $work/data/report.html ]] && fail "a report in a folder that is no run"

fresh; mkdir "$work/broken/atlas"; echo '{}' >"$work/broken/atlas/attributes.json"; broken 'attributes.json'

# Neither a FIFO nor a folder in a file's place stops it.
if command -v mkfifo >/dev/null; then
  fresh; rm "$work/broken"/{metrics.jsonl,eval/knn.json,env.json}
  mkfifo "$work/broken"/{metrics.jsonl,eval/knn.json,env.json}
  timeout 20 "$build/music_report" "$work/broken" >/dev/null 2>&1 || fail "a FIFO: exit $?"
fi
fresh; rm "$work/broken/metrics.jsonl"; mkdir "$work/broken/metrics.jsonl"
broken 'metrics.jsonl: not there or not readable'

# What an atlas says.
mkdir "$work/a/run/atlas"
echo >"$work/a/run/atlas/index.html"
report "$work/a/run" >/dev/null || fail "a"
has "$work/a/run/report.html" 'href="atlas/index.html"'

# Where there is nothing to show, or no place for it.
expect 3 'no run: expected metrics.jsonl' report "$work/data"
expect 3 'none: not there' report "$work/none"
expect 3 'a file, expected the folder of a run' report "$run/config.toml"
expect 2 'x.png' report "$run" --out "$work/x.png"
expect 2 'nowhere' report "$run" --out "$work/nowhere/x.html"
if ((EUID != 0)); then
  chmod a-w "$work/b/run"
  expect 2 'report.html' report "$work/b/run"
  chmod u+w "$work/b/run"
fi
exit $((failures > 0))
