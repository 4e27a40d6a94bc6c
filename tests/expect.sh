# expect CODE PATTERN command...: exit code, one line on stderr, that matches.
# Sourced; needs $work and fail().
expect() {
  local code=$1 pattern=$2
  shift 2
  "$@" >"$work/stdout" 2>"$work/stderr"
  local status=$?
  ((status == code)) || fail "exit $status, expected $code: $*: $(cat "$work/stderr")"
  (($(grep -c . "$work/stderr") == 1)) ||
    fail "$(grep -c . "$work/stderr") lines, expected 1: $*: $(cat "$work/stderr")"
  grep -qE -- "$pattern" "$work/stderr" ||
    fail "no '$pattern' in: $(cat "$work/stderr")"
}
