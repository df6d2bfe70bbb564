# shellcheck shell=bash
#
# Configuring and building build/release. Sourced by setup.sh; the working directory is the project's root.
#
# Training and tests share that directory: run_tests.sh only switches BUILD_TESTING on, which changes no flag of the
# training programs, and run_training.sh leaves it as it finds it. So neither makes the other build anything twice.

readonly BUILD_DIRECTORY=build/release
# What the directory was last configured from; "failed" after a configuration that did not succeed. Not there when the
# directory was configured by hand.
readonly CONFIGURED_FROM=$BUILD_DIRECTORY/.configured-from

# configure_release tests|keep: "tests" switches the tests on, "keep" leaves that as it is. Ninja runs cmake again by
# itself when a CMakeLists.txt changes; this is for all that it does not see: the first time, another preset, another
# place, another compiler, another CMAKE_PREFIX_PATH, other versions of the packages.
configure_release() {
  local before='' now testing=OFF wanted=OFF arguments=(--preset release)
  now=$(configuration_key)
  if [[ -r $CONFIGURED_FROM ]]; then before=$(<"$CONFIGURED_FROM"); fi
  if grep -qsE '^BUILD_TESTING:[A-Z]+=ON$' "$BUILD_DIRECTORY/CMakeCache.txt"; then testing=ON; fi
  # What a failed configuration of the tests left behind must not keep anyone from training.
  if [[ $1 == tests || ($testing == ON && $before != failed) ]]; then wanted=ON; fi

  if [[ -e $BUILD_DIRECTORY/build.ninja ]]; then
    if [[ $before == "$now" && $wanted == "$testing" ]]; then return; fi
    # Settings made by hand stay; a cache made for something else would only mislead.
    if [[ -n $before && $before != "$now" ]]; then arguments+=(--fresh); fi
  elif [[ -e $BUILD_DIRECTORY/CMakeCache.txt ]]; then
    arguments+=(--fresh)
  fi
  if [[ $wanted == ON ]]; then arguments+=(-DBUILD_TESTING=ON); fi

  require_build_tools
  say "Configuring."
  mkdir -p "$BUILD_DIRECTORY"
  echo failed >"$CONFIGURED_FROM"
  local log=$TS_ROOT/build/configure.log
  if ! cmake "${arguments[@]}" >"$log" 2>&1 </dev/null 9>&-; then
    show_tail "$log" 30
    fail "cmake could not configure the build; above is the end of what it said, all of it is in $log." \
      "If a library was not found: install it, or say where it is with CMAKE_PREFIX_PATH, and run $TS_COMMAND again."
  fi
  printf '%s\n' "$now" >"$CONFIGURED_FROM"
}

configuration_key() {
  local name versions=''
  # Only the packages that training needs, so that both scripts come to the same key.
  for name in "${TRAINING_PACKAGES[@]}"; do
    name=${name/1.$BOOST_MINOR-/1.$BOOST_CHOSEN-}
    versions+="$name ${INSTALLED[$name]:-} "
  done
  { cat CMakePresets.json; printf '%s\n' "$TS_ROOT" "${CMAKE_PREFIX_PATH:-}" "${CXX:-}" "$versions"; } | cksum
}

# For systems where TS_SKIP_INSTALL left this to the user.
require_build_tools() {
  local tool version
  for tool in cmake ninja; do
    if ! have "$tool"; then fail "The program $tool is missing. Install it and run $TS_COMMAND again."; fi
  done
  version=$(cmake --version | sed -nE '1s/^cmake version ([0-9]+\.[0-9]+).*/\1/p')
  if [[ $version =~ ^([0-9]+)\.([0-9]+)$ ]] &&
    ((BASH_REMATCH[1] < 3 || (BASH_REMATCH[1] == 3 && BASH_REMATCH[2] < 25))); then
    fail "CMake 3.25 or newer is needed and this is $version." \
      "Use a newer release of the system, or put a newer cmake first in PATH, and run $TS_COMMAND again."
  fi
}

# build_release TARGET...: "all" is everything.
build_release() {
  local log=$TS_ROOT/build/build.log jobs
  jobs=$(choose_jobs)
  local command=(cmake --build --preset release --parallel "$jobs" --target "$@")
  if NINJA_STATUS='[%f/%t] ' "${command[@]}" 2>&1 </dev/null 9>&- | show_build_progress "$log" "$jobs"; then return; fi
  # ninja handles Ctrl+C itself and exits, and bash then takes it for an ordinary failure.
  if grep -q 'interrupted by user' "$log"; then interrupted; fi
  printf '\nThe build failed; the end of what it said:\n' >&2
  show_tail "$log" 30
  local advice=("All of it is in $log.")
  if grep -qE 'Killed|[Cc]annot allocate memory|virtual memory exhausted' "$log"; then
    advice+=("The compiler ran out of memory. Compile one file at a time: TS_JOBS=1 $TS_COMMAND")
  elif grep -qE 'No space left on device' "$log"; then
    advice+=("The disk is full. Make room and run $TS_COMMAND again; what is built already stays.")
  fi
  fail "${advice[@]}"
}

# As many as there are cores, and no more than fit into memory: a file that includes libtorch takes up to 2 GiB.
choose_jobs() {
  if [[ ${TS_JOBS:-} =~ ^[1-9][0-9]*$ ]]; then
    printf '%s' "$TS_JOBS"
    return
  fi
  local jobs mib limit fit
  jobs=$(nproc)
  mib=$(awk '/^MemAvailable:/ {print int($2 / 1024)}' /proc/meminfo)
  # In a container the limit is here; "max" where there is none.
  if [[ -r /sys/fs/cgroup/memory.max ]] && read -r limit </sys/fs/cgroup/memory.max && [[ $limit =~ ^[0-9]+$ ]]; then
    if ((limit / 1048576 < mib)); then mib=$((limit / 1048576)); fi
  fi
  fit=$((mib / 2048))
  if ((fit < jobs)); then jobs=$fit; fi
  if ((jobs < 1)); then jobs=1; fi
  printf '%s' "$jobs"
}

# show_build_progress LOG JOBS: keeps ninja's output in LOG and shows how far it is; one line when there is nothing to do.
show_build_progress() {
  local log=$1 jobs=$2 line announced=0
  trap '' INT  # Ctrl+C ends ninja, whose last words are read here
  start_progress
  : >"$log"
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$log"
    if [[ $line == *'no work to do.' ]]; then
      say "Everything is built."
    elif [[ $line =~ ^\[([0-9]+)/([0-9]+)\]\  ]] && ((BASH_REMATCH[1] > 0)); then
      local now=${BASH_REMATCH[1]} total=${BASH_REMATCH[2]}
      if ((announced == 0)); then
        announced=1
        say "Building, $jobs at a time (log: $log)."
      fi
      show_progress "built" "$now" "$total"
    fi
  done
}
