#!/usr/bin/env bash
# A report in a real browser: nothing in the console, charts that zoom, a hostile
# name that stays text, dark, as wide as a phone, without scripts. Skipped where
# there is no chromium or python3.
#   browser_test.sh BUILD_DIR [FOLDER]   FOLDER: keeps screenshots there
set -u
here=$(dirname "${BASH_SOURCE[0]}")
source "$here/../eval/common.sh"
source "$here/made_run.sh"

command -v python3 >/dev/null || { echo "[skipped] no python3"; exit 77; }
PYTHONDONTWRITEBYTECODE=1 python3 -c "import sys; sys.path.insert(0, '$here'); import browser; sys.exit(not browser.find())" ||
  { echo "[skipped] no chromium"; exit 77; }

hostile="$work/<script>hostile=1<\\script>\"'&amp;"
made_run "$hostile" 400 -3
made_run "$work/other" 300 -2
"$build/music_report" "$hostile" "$work/other" --out "$work/page.html" >/dev/null 2>&1 ||
  fail "no report"
(($# > 1)) && mkdir -p "$2"
PYTHONDONTWRITEBYTECODE=1 python3 "$here/report_page.py" "$work/page.html" "${@:2:1}" || fail "see above"
exit $((failures > 0))
