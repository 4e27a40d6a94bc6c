# shellcheck shell=bash disable=SC2154  # its variables are gpu_check.sh's
# The result files of gpu_check.sh, which sources this. Reads from $scratch: `rows`
# ("name<tab>status<tab>seconds" a line), NAME.log of each; and the facts $now,
# $command, $commit, $device, $driver, $memory, $libraries, $torch, $network,
# $steps. write_report writes $file.json and $file.md whole, so that what is there
# is complete whenever the check is stopped.

quoted() { # as a JSON string
  sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/\t/\\t/g' | tr -d '\000-\011\013-\037' |
    awk '{ printf "%s%s", (NR > 1 ? "\\n" : "\""), $0 } END { printf "%s\"", NR ? "" : "\"" }'
}
field() { # KEY [DIGITS]: the first number of that name in a JSON object on stdin
  grep -oE "\"$1\": ?[-0-9.e+]+" | head -1 | grep -oE '[-0-9.e+]+$' | xargs -r printf "%.${2:-0}f"
}
result_of() { # NAME: the last line of its output that is a JSON object
  grep -E '^\{.*\}$' "$scratch/$1.log" 2> /dev/null | tail -1
}
status_of() { # NAME
  awk -F'\t' -v name="$1" '$1 == name { print $2; exit }' "$scratch/rows"
}
# What a reader of NAME's output wants: its first and last lines.
excerpt() { # NAME LINES
  awk -v most="$2" '/^\{.*\}$/ { next } { line[++n] = $0 }
    END {
      for (i = 1; i <= n; ++i) {
        if (n > most && i == int(most / 2) + 1) {
          print "..."
          i = n - int(most / 2) + 1
        }
        print line[i]
      }
    }' "$scratch/$1.log" 2> /dev/null
}

json() {
  printf '{"date": "%s", "command": %s, "commit": "%s",\n' "$now" \
    "$(quoted <<< "$command")" "$commit"
  printf ' "device": %s, "driver": "%s", "memory": "%s", "libraries": "%s", "torch": "%s",\n' \
    "$(quoted <<< "$device")" "$driver" "$memory" "$libraries" "$torch"
  printf ' "parts": ['
  local separator='' name status seconds result lines
  while IFS=$'\t' read -r name status seconds; do
    printf '%s\n  {"name": "%s", "status": "%s", "seconds": %s' "$separator" "$name" \
      "$status" "$seconds"
    result=$(result_of "$name")
    [[ -z $result ]] || printf ', "result": %s' "$result"
    if [[ -s $scratch/$name.log ]]; then
      lines=400
      [[ $status == passed ]] || lines=1000
      printf ', "output": %s' "$(excerpt "$name" "$lines" | quoted)"
    fi
    printf '}'
    separator=,
  done < "$scratch/rows"
  printf '\n]}\n'
}

# A line of the table of steps: ours, or PyTorch's with our step of the same
# batch and precision beside it.
step_line() { # NAME
  local result ours='' name
  result=$(result_of "$1")
  printf '| %s | %s | %s | %s |' "$1" "$(field step_ms 2 <<< "$result")" \
    "$(field views_per_s <<< "$result")" "$(field peak_mib <<< "$result")"
  if [[ $1 =~ ^peer-([a-z0-9]+-[0-9]+)- ]]; then
    for name in "step-${BASH_REMATCH[1]}"{,-no-graph,-no-tuning}; do
      [[ $(status_of "$name") != passed ]] || ours=$(result_of "$name" | field step_ms 4)
    done
  fi
  awk -v theirs="$(field step_ms 4 <<< "$result")" -v ours="$ours" \
    'BEGIN { if (theirs > 0 && ours > 0) printf " %.2f |\n", theirs / ours; else print "  |" }'
}
markdown() {
  local name status
  printf '# %s\n\n%s, commit %s, driver %s, %s, %s, PyTorch %s.\n`%s`\n\n' "$device" \
    "${now%T*}" "${commit:-not known}" "${driver:-unknown}" "${memory:-unknown}" \
    "${libraries:-unknown}" "${torch:--}" "$command"
  printf '| Part | Result | Seconds |\n|---|---|---:|\n'
  awk -F'\t' '{ printf "| %s | %s | %s |\n", $1, $2, $3 }' "$scratch/rows"
  if grep -qE $'^(step|peer)-.*\tpassed\t' "$scratch/rows"; then
    printf '\n## Training step\n\n`%s`: median of %s steps.\n' "$network" "$steps"
    printf 'PyTorch runs AMP of the same precision in channels_last; the ratio is its time over ours.\n\n'
    printf '| Run | ms | views/s | Peak, MiB | Ratio |\n|---|---:|---:|---:|---:|\n'
    while IFS=$'\t' read -r name status _; do
      [[ $status == passed && -n $(result_of "$name" | field step_ms) ]] && step_line "$name"
    done < "$scratch/rows"
  fi
  while IFS=$'\t' read -r name status _; do
    case $name in step-* | peer-*)
      [[ $status != passed || $name == *-profile ]] || continue ;;
    esac
    [[ -s $scratch/$name.log ]] || continue
    printf '\n## %s\n\n```\n' "$name"
    excerpt "$name" 400
    printf '```\n'
  done < "$scratch/rows"
}

write_report() {
  json > "$file.json.new" && mv "$file.json.new" "$file.json"
  markdown > "$file.md.new" && mv "$file.md.new" "$file.md"
}
