#!/bin/bash
# Installs what is missing, builds everything, and runs the tests: see --help.
source "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/scripts/setup.sh"

usage() {
  cat <<'HELP'
Usage: run_tests.sh [CTEST OPTION...]

Installs the packages that are missing (Debian and Ubuntu, with sudo when you are not root), builds the programs and the
tests, and runs the tests. What is installed and built already is left alone. Works from any directory.

  run_tests.sh -L unit       only the tests with this label: unit, integration, faults, system, fuzz
  run_tests.sh -R Sidecar    only the tests whose name matches
  run_tests.sh -N            only list them

Tests that this machine cannot run (no root, no kernel feature) are skipped; they are listed at the end with the reason.
The exit status is ctest's. The environment variables are those of run_training.sh --help.
HELP
}

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
  usage
  exit 0
fi

# skip_reasons NAME...: these tests with the reason each gave, from ctest's log of the run.
skip_reasons() {
  local log=$BUILD_DIRECTORY/Testing/Temporary/LastTest.log
  if [[ ! -r $log ]]; then return; fi
  NAMES=$(printf '%s\n' "$@") awk '
    BEGIN { count = split(ENVIRON["NAMES"], list, "\n"); for (i = 1; i <= count; i++) wanted[list[i]] = 1 }
    function finish() { if (name in wanted) printf "  %s%s\n", name, reason == "" ? "" : ": " reason }
    /^[0-9]+\/[0-9]+ Testing: / { finish(); name = $0; sub(/^[0-9\/]+ Testing: /, "", name); reason = ""; take = 0; next }
    # GoogleTest: "file.cpp:12: Skipped", then the reason, then "[  SKIPPED ]". Others: "SKIPPED: reason".
    /^SKIPPED: / { reason = substr($0, 10); next }
    /^\[/ { take = 0 }
    /: Skipped$/ { take = 1; next }
    take && NF { reason = reason == "" ? $0 : reason " " $0 }
    END { finish() }
  ' "$log"
}

# Passes the output of ctest through and puts the reasons before its closing summary, which stays the last word.
add_skip_reasons() {
  local line closing=() skipped=()
  while IFS= read -r line; do
    if ((${#closing[@]} == 0)) && [[ ! $line =~ ^[0-9]+%\ tests\ passed ]]; then
      printf '%s\n' "$line"
      continue
    fi
    closing+=("$line")
    if [[ $line =~ ^[[:space:]]+[0-9]+\ -\ (.*)\ \(Skipped\)$ ]]; then skipped+=("${BASH_REMATCH[1]}"); fi
  done
  if ((${#skipped[@]} > 0)); then printf 'Skipped on this machine, and why:\n%s\n\n' "$(skip_reasons "${skipped[@]}")"; fi
  if ((${#closing[@]} > 0)); then printf '%s\n' "${closing[@]}"; fi
}

setup_begin
ensure_packages "${TRAINING_PACKAGES[@]}" "${TEST_PACKAGES[@]}"
configure_release tests
build_release all
setup_end

trap - ERR  # failing tests are no mistake in this script
set +e
ctest --test-dir "$BUILD_DIRECTORY" --output-on-failure --no-tests=error -j2 "$@" </dev/null 2>&1 | add_skip_reasons
exit "${PIPESTATUS[0]}"
