# shellcheck shell=bash
#
# Set-up shared by run_training.sh and run_tests.sh: sourced, never run. Each of them calls, in this order,
#
#   setup_begin                     takes the build lock, so that two runs at once do not disturb each other
#   ensure_packages NAME...         scripts/packages.sh: installs what is missing
#   configure_release tests|keep    scripts/build.sh: runs cmake where that is needed
#   build_release TARGET...         scripts/build.sh: builds, nothing when nothing changed
#   setup_end                       gives the lock back
#
# Everything that can fail ends in `fail`, which says what failed and what to do.
#
# Environment, for people:
#   TS_SKIP_INSTALL=1       install nothing and do not look at the system's packages (systems other than Debian and Ubuntu)
#   TS_SKIP_PACKAGES="..."  packages that are there by other means, e.g. "libtorch-dev". libtorch-dev is left out by itself
#                           when CMAKE_PREFIX_PATH holds a libtorch
#   TS_JOBS=N               compile N files at once instead of as many as cores and memory allow
# For tests/scripts:
#   TS_OS_RELEASE=FILE      read instead of /etc/os-release; dpkg-query, apt-get, apt-cache, sudo, id, cmake, ninja and ctest
#                           are looked up in PATH, so that stubs can stand in for them
set -Eeuo pipefail

# Absolute and free of links, because that is how both scripts name this file.
TS_ROOT=$(dirname -- "$(dirname -- "${BASH_SOURCE[0]}")")
readonly TS_ROOT
# The user's own command, for the sentences that say "run it again".
TS_COMMAND=$0
readonly TS_COMMAND

# shellcheck source=scripts/packages.sh
source "$TS_ROOT/scripts/packages.sh"
# shellcheck source=scripts/build.sh
source "$TS_ROOT/scripts/build.sh"

say() { printf '%s\n' "$*"; }

# fail SENTENCE...: one line each, on standard error, and the end.
fail() {
  printf '%s\n' "" "$@" >&2
  exit 1
}

# show_tail FILE LINES: the end of a log, indented, on standard error.
show_tail() { tail -n "$2" -- "$1" | sed 's/^/  | /' >&2; }

# A command failed where none was expected to: a mistake in these scripts. Subshells leave the word to their parent.
unexpected() {
  local status=$1 place=$2:$3 what=$4
  if ((BASH_SUBSHELL == 0)); then
    printf '\nThe set-up stopped unexpectedly: %s: "%s" ended with %s.\n' "$place" "$what" "$status" >&2
  fi
}
trap 'unexpected "$?" "${BASH_SOURCE[0]}" "$LINENO" "$BASH_COMMAND"' ERR
interrupted() {
  printf '\nInterrupted. The same command goes on from here.\n' >&2
  exit 130
}
trap interrupted INT

# Started with a closed standard input, the first file opened would become it.
[[ -e /proc/self/fd/0 ]] || exec </dev/null

# show_progress LABEL DONE TOTAL: a line that rewrites itself on a terminal, a line for each quarter elsewhere.
start_progress() { progress_quarter=0; }
show_progress() {
  local label=$1 now=$2 total=$3
  if [[ -t 1 ]]; then
    printf '\r  %s %d of %d' "$label" "$now" "$total"
    if ((now >= total)); then printf '\n'; fi
    return
  fi
  local quarter=$((now * 4 / total))
  if ((quarter > progress_quarter)); then
    progress_quarter=$quarter
    say "  $label $now of $total"
  fi
}

# The lock is file descriptor 9. Every command that may leave a process behind is started with 9>&-, or that process
# would hold the lock after us.
setup_begin() {
  cd -- "$TS_ROOT"
  if ! mkdir -p build 2>/dev/null || ! { exec 9>>build/.lock; } 2>/dev/null; then
    fail "Cannot write to $TS_ROOT/build as user $(id -un)." \
      "If another user (root, by way of sudo) built here before, hand the directory over: chown -R $(id -un) '$TS_ROOT/build'"
  fi
  if ! flock -n 9; then
    say "Another run is setting up or building here; waiting until it is done."
    flock 9
  fi
}

setup_end() { exec 9>&-; }
