#!/usr/bin/env bash
# music_coco_eval as a user runs it: coco_test.sh BUILD_DIR
#   toy        boxes and masks of three images, all outputs
#   goldens    stored files against what pycocotools made of them
#   miniature  COCO's folders around real photographs (skipped without ../shared)
#   errors     bad input: one line that names the place, the right exit code
set -u
build=$1
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
golden=$tests/golden/coco
eval=$build/music_coco_eval
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}
source "$tests/expect.sh"
# says PATTERN COMMAND...: it ends well and prints that.
says() {
  local pattern=$1
  shift
  "$@" >"$work/stdout" 2>"$work/stderr" || fail "$*: $(cat "$work/stderr")"
  grep -qE -- "$pattern" "$work/stdout" || fail "no '$pattern' in: $(cat "$work/stdout")"
}

# gt ANNOTATIONS, of 40 x 60 images 1 to 3 (the last has none)
gt() {
  echo '{"info":{},"images":[{"id":3,"height":40,"width":60},
    {"id":1,"height":40,"width":60},{"id":2,"height":40,"width":60}],
    "categories":[{"id":1,"name":"person"},{"id":90,"name":"toothbrush"}],
    "annotations":['"$1"']}'
}
# object ID IMAGE X Y SIDE [CROWD]: a square
object() {
  echo '{"id":'"$1"',"image_id":'"$2"',"category_id":1,"iscrowd":'"${6:-0}"',"area":'$(($5 * $5))',
    "bbox":['"$3,$4,$5,$5"'],"segmentation":[['"$3,$4,$(($3 + $5)),$4,$(($3 + $5)),$(($4 + $5)),$3,$(($4 + $5))"']]}'
}
# hit SCORE IMAGE X Y SIDE
hit() {
  echo '{"image_id":'"$2"',"category_id":1,"score":'"$1"',"bbox":['"$3,$4,$5,$5"'],
    "segmentation":[['"$3,$4,$(($3 + $5)),$4,$(($3 + $5)),$(($4 + $5)),$3,$(($4 + $5))"']]}'
}

toy() {
  gt "$(object 1 1 10 10 20),$(object 2 2 0 0 8)" >"$work/gt.json"
  echo "[$(hit 0.9 1 10 10 20),$(hit 0.8 3 5 5 9),$(hit 0.7 2 0 0 8)]" >"$work/r.json"
  local kind
  for kind in bbox segm; do
    # Recall 1/2 at precision 1, then 2/3: (51 + 50 * 2 / 3) / 101.
    says '^ Average Precision  \(AP\) @\[ IoU=0.50:0.95 \| area=   all \| maxDets=100 \] = 0.835$' \
      "$eval" --gt "$work/gt.json" --results "$work/r.json" --iou $kind --categories
    (($(grep -c '^ Average' "$work/stdout") == 12)) || fail "$kind: not twelve lines"
    grep -q '^ Average Recall     (AR) @\[ IoU=0.50:0.95 | area= large | maxDets=100 \] = -1.000$' \
      "$work/stdout" || fail "$kind: no -1 for large"
    grep -q 'AP 0.835 .* 2 annotations  person' "$work/stdout" || fail "$kind: no AP of person"
    grep -q 'AP -1.000 .* 0 annotations  toothbrush' "$work/stdout" || fail "$kind: no AP of toothbrush"
  done
  says '"protocol":\{"id":"coco.segm","hash":"[0-9a-f]{16}"' \
    "$eval" --gt "$work/gt.json" --results "$work/r.json" --iou segm --json --out "$work/score.json"
  (($(wc -l <"$work/stdout") == 1)) || fail "--json is not one line"
  cmp -s "$work/stdout" "$work/score.json" || fail "--out is not what --json prints"
  mkdir "$work/run"
  says '0.835' "$eval" --gt "$work/gt.json" --results "$work/r.json" --run "$work/run"
  [[ -s $work/run/eval/coco.bbox.json && -s $work/run/eval/scores.jsonl ]] || fail "nothing in the run's eval/"
  echo '[]' >"$work/none.json"
  says 'note: there are no detections' "$eval" --gt "$work/gt.json" --results "$work/none.json"
  # The id 0.
  gt "$(object 0 1 10 10 20)" >"$work/zero.json"
  echo "[$(hit 0.9 1 10 10 20)]" >"$work/r0.json"
  says 'id 0: it is matched' "$eval" --gt "$work/zero.json" --results "$work/r0.json"
  grep -q 'maxDets=100 \] = 1.000' "$work/stdout" || fail "the id 0 is not matched"
  says 'id 0 is never matched' "$eval" --gt "$work/zero.json" --results "$work/r0.json" --pycocotools
  grep -q 'area=   all | maxDets=100 \] = 0.000' "$work/stdout" || fail "--pycocotools matches the id 0"
  says 'area of a detection is its mask' \
    "$eval" --gt "$work/zero.json" --results "$work/r0.json" --iou segm
  # More than a hundred in one image and category.
  local i many=""
  for ((i = 0; i < 103; ++i)); do many+=${many:+,}$(hit 0.$((100 + i)) 1 $((i % 40)) 0 9); done
  echo "[$many]" >"$work/many.json"
  says 'note: 3 detections past the 100 best' "$eval" --gt "$work/gt.json" --results "$work/many.json"
  # A crowd forgives what is not found on it.
  gt "$(object 1 1 10 10 20),$(object 2 3 0 0 30 1)" >"$work/crowd.json"
  echo "[$(hit 0.9 3 5 5 9),$(hit 0.7 1 10 10 20),$(hit 0.9 3 5 6 9)]" >"$work/rc.json"
  says 'area=   all \| maxDets=100 \] = 1.000' "$eval" --gt "$work/crowd.json" --results "$work/rc.json"
}

goldens() {
  local seed kind ap
  for seed in 0 1 2; do
    for kind in bbox segm; do
      # The first of the twelve, to three places.
      ap=$(awk -v name="\"random$seed.$kind\"" '
        index($0, name) { here = 1 }
        here && /stats/ { getline; printf "%.3f", $1; exit }' "$golden/numbers.json")
      says "area=   all \| maxDets=100 \] = $ap" "$eval" --pycocotools --iou $kind \
        --gt "$golden/random$seed.gt.json" --results "$golden/random$seed.$kind.json"
    done
  done
}

# Height and width of a JPEG file.
size_of() {
  od -An -v -tu1 -N 300000 "$1" | awk '
    { for (i = 1; i <= NF; ++i) b[n++] = $i }
    END {
      for (i = 2; i + 8 < n && b[i] == 255; i += 2 + b[i + 2] * 256 + b[i + 3]) {
        m = b[i + 1]
        if (m >= 192 && m <= 207 && m != 196 && m != 200 && m != 204) {
          print b[i + 5] * 256 + b[i + 6], b[i + 7] * 256 + b[i + 8]
          exit
        }
      }
    }'
}

miniature() {
  local shared=${MUSIC_SHARED:-$tests/../../shared}
  if [[ ! -d $shared/data/imagenet-sample ]]; then
    echo "[skipped] no shared data for the miniature"
    return
  fi
  local coco=$work/coco i=0 h w photo images="" annotations="" boxes="" masks=""
  mkdir -p "$coco/annotations" "$coco/val2017"
  local ids=(1 18 90)
  while read -r photo; do
    read -r h w < <(size_of "$photo")
    ((${h:-0} > 40 && ${w:-0} > 40)) || continue
    i=$((i + 1))
    local name
    name=$(printf '%012d.jpg' $((i * 139)))
    ln -s "$photo" "$coco/val2017/$name"
    images+=${images:+,}'{"id":'$((i * 139))',"file_name":"'$name'","height":'$h',"width":'$w'}'
    local x=$((w / 4)) y=$((h / 4)) bw=$((w / 2)) bh=$((h / 2)) c=${ids[i % 3]}
    local poly="$x,$y,$((x + bw)),$y,$((x + bw)),$((y + bh)),$x,$((y + bh))"
    local strip='"segmentation":{"size":['$h,$w'],"counts":['$((h * (w - w / 10)))','$((h * (w / 10)))']}'
    if ((i == 12)); then  # no annotation, and something found there
      boxes+=',{"image_id":'$((i * 139))',"category_id":1,"score":0.1,"bbox":[1,1,30,30]}'
      masks+=',{"image_id":'$((i * 139))',"category_id":1,"score":0.1,'$strip'}'
      break
    fi
    annotations+=${annotations:+,}'{"id":'$i',"image_id":'$((i * 139))',"category_id":'$c',"iscrowd":0,"area":'$((bw * bh))',"bbox":['$x,$y,$bw,$bh'],"segmentation":[['$poly']]}'
    if ((i % 4 == 0)); then
      annotations+=',{"id":'$((900100 + i))',"image_id":'$((i * 139))',"category_id":'$c',"iscrowd":1,"area":'$((h * (w / 10)))',"bbox":['$((w - w / 10)),0,$((w / 10)),$h'],'$strip'}'
      boxes+=',{"image_id":'$((i * 139))',"category_id":'$c',"score":0.99,"bbox":['$((w - w / 10)),0,9,$h']}'
      masks+=',{"image_id":'$((i * 139))',"category_id":'$c',"score":0.99,'$strip'}'
    fi
    ((i == 7)) && continue  # one of the four dogs is missed
    boxes+=',{"image_id":'$((i * 139))',"category_id":'$c',"score":0.5,"bbox":['$x,$y,$bw,$bh']}'
    masks+=',{"image_id":'$((i * 139))',"category_id":'$c',"score":0.5,"segmentation":[['$poly']]}'
  done < <(find "$shared/data/imagenet-sample" -name '*.jp*g' -o -name '*.JPEG' | sort)
  ((i == 12)) || fail "only $i photographs"
  echo '{"info":{"year":2017},"licenses":[{"id":1}],"images":['"$images"'],"annotations":['"$annotations"'],
    "categories":[{"id":1,"name":"person"},{"id":18,"name":"dog"},{"id":90,"name":"toothbrush"}]}' \
    >"$coco/annotations/instances_val2017.json"
  echo "[${boxes#,}]" >"$coco/bbox.json"
  echo "[${masks#,}]" >"$coco/segm.json"
  local kind
  for kind in bbox segm; do
    # Two categories are perfect, of the dogs three in four are found: 76 / 101.
    says 'area=   all \| maxDets=100 \] = 0.917' "$eval" --iou $kind --categories \
      --gt "$coco/annotations/instances_val2017.json" --results "$coco/$kind.json"
    grep -q "^$kind: 12 images, 13 annotations, 3 categories; 13 detections$" "$work/stdout" ||
      fail "$kind: counts of the miniature: $(head -1 "$work/stdout")"
    grep -q 'AP 0.752 *4 annotations  dog' "$work/stdout" || fail "$kind: dogs"
  done
}

errors() {
  gt "$(object 1 1 10 10 20)" >"$work/gt.json"
  echo "[$(hit 0.9 1 10 10 20)]" >"$work/r.json"
  local g=(--gt "$work/gt.json") r=(--results "$work/r.json")
  expect 2 'gt is required' "$eval" "${r[@]}"
  expect 2 'results is required' "$eval" "${g[@]}"
  expect 2 'unknown flag --ioU.*--iou' "$eval" "${g[@]}" "${r[@]}" --ioU bbox
  expect 2 'would be JSON, expected a name that ends in .json' "$eval" "${g[@]}" "${r[@]}" --out "$work/x.npy"
  expect 2 'keypoints' "$eval" "${g[@]}" "${r[@]}" --iou keypoints
  expect 2 'not a folder' "$eval" "${g[@]}" "${r[@]}" --run "$work/no"
  expect 3 'no.json' "$eval" --gt "$work/no.json" "${r[@]}"
  expect 3 'r.json: begins with a list, expected an object' "$eval" --gt "$work/r.json" "${r[@]}"
  expect 3 'gt.json: begins with an object, expected a list of results' "$eval" "${g[@]}" --results "$work/gt.json"
  bad() {  # bad PATTERN RESULTS [FLAG...]
    echo "$2" >"$work/bad.json"
    expect 3 "bad.json: $1" "$eval" "${g[@]}" --results "$work/bad.json" "${@:3}"
  }
  bad 'record 1: category_id 2 is not among the 2 categories' \
    "[$(hit 1 1 1 1 9),{\"image_id\":1,\"category_id\":2,\"score\":1,\"bbox\":[1,1,2,2]}]"
  bad 'record 0: image_id 7 is not among the 3 images' "[$(hit 1 7 1 1 9)]"
  bad 'record 0: no "score"' '[{"image_id":1,"category_id":1,"bbox":[1,1,2,2]}]'
  bad 'record 0: not JSON at byte .*NaN' "[$(hit NaN 1 1 1 9)]"
  bad 'record 0: .* is not finite' "[$(hit 1e999 1 1 1 9)]"
  bad 'record 0: no "segmentation"' \
    '[{"image_id":1,"category_id":1,"score":1,"bbox":[1,1,2,2]}]' --iou segm
  local mask='{"image_id":1,"category_id":1,"score":1,"segmentation":{"size":[40,60],"counts":'
  bad 'record 0: run lengths end within a number' "[$mask\"d\"}}]" --iou segm
  bad 'record 0: run lengths add up to 20, expected 2400' "[$mask\"d0\"}}]" --iou segm
  bad 'record 0: mask of 60 x 40, expected that of the image, 40 x 60' \
    "[${mask/40,60/60,40}[2400]}}]" --iou segm
  bad 'record 0: run length -1' "[$mask[-1,2401]}}]" --iou segm
  head -c 60 "$work/r.json" >"$work/cut.json"
  expect 3 'cut.json: record 0: not JSON at byte' "$eval" "${g[@]}" --results "$work/cut.json"
  gt "$(object 1 1 10 10 20),$(object 1 2 10 10 20)" >"$work/twice.json"
  expect 3 'annotations\[1\]: id 1 is also that of annotations\[0\]' "$eval" --gt "$work/twice.json" "${r[@]}"
  gt "$(object 1 9 10 10 20)" >"$work/lost.json"
  expect 3 'annotations\[0\]: image_id 9 is not among the 3 images' "$eval" --gt "$work/lost.json" "${r[@]}"
  sed 's/"iscrowd":0,//' "$work/gt.json" >"$work/missing.json"
  expect 3 'annotations\[0\]: no "iscrowd"' "$eval" --gt "$work/missing.json" "${r[@]}"
  sed 's/"category_id":1/"category_id":5/' "$work/gt.json" >"$work/unknown.json"
  expect 3 'annotations\[0\]: category_id 5 is not among the 2' "$eval" --gt "$work/unknown.json" "${r[@]}"
  [[ -w /dev/full ]] &&
    expect 2 'no/such' "$eval" "${g[@]}" "${r[@]}" --out "$work/no/such/score.json"
}

for case in toy goldens miniature errors; do $case; done
((failures == 0)) && echo "passed"
exit $((failures > 0))
