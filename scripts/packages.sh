# shellcheck shell=bash
#
# The packages this project needs, and installing them with apt. Sourced by setup.sh.
#
# When nothing is missing this is one call of dpkg-query and apt is not touched. Otherwise: one `apt-get update`, one
# `apt-get install`, which never removes a package.

# shellcheck disable=SC2034  # used by the scripts that source this
TRAINING_PACKAGES=(
  g++ cmake ninja-build pkg-config
  libtorch-dev libopenblas0-pthread  # without OpenBLAS, Debian's libtorch uses the reference BLAS: 40 times slower
  libboost1.81-dev libboost-json1.81-dev
  libyaml-cpp-dev libspdlog-dev libcli11-dev libxxhash-dev libdeflate-dev
)
# shellcheck disable=SC2034
TEST_PACKAGES=(
  libgtest-dev xxhash python3 python3-torch strace e2fsprogs xfsprogs btrfs-progs git elfutils
  libsystemd-dev python3-sdnotify python3-systemd  # sd_notify clients of others
  python3-yaml python3-jsonschema   # answers of the control API against docs/openapi.yaml
  systemd-container dpkg-dev file   # a systemd of our own, and the package that is installed there
  qemu-system-x86                   # a machine whose power is cut
)

# The oldest Boost that has Process v2 with what we use. Its package names carry the version.
readonly BOOST_MINOR=81

# Set by find_missing.
MISSING=()            # names to install
declare -A INSTALLED  # name -> version of what is there
BOOST_CHOSEN=$BOOST_MINOR

# ensure_packages NAME...: returns when all are installed.
ensure_packages() {
  if [[ ${TS_SKIP_INSTALL:-0} == 1 ]]; then return; fi
  require_debian
  find_missing "$@"
  if ((${#MISSING[@]} == 0)); then return; fi

  say "Packages to install (${#MISSING[@]}): ${MISSING[*]}"
  choose_privilege
  install_missing "$@"
}

require_debian() {
  local file=${TS_OS_RELEASE:-/etc/os-release} name='this system' families=''
  if [[ -r $file ]]; then
    # The file is shell syntax by its specification; a subshell keeps its variables out of ours.
    # shellcheck disable=SC1090
    name=$(unset PRETTY_NAME && source "$file" && printf '%s' "${PRETTY_NAME:-this system}")
    # shellcheck disable=SC1090
    families=$(unset ID ID_LIKE && source "$file" && printf ' %s %s ' "${ID:-}" "${ID_LIKE:-}")
  fi
  if [[ $families == *' debian '* || $families == *' ubuntu '* ]] && have dpkg-query && have apt-get; then return; fi
  fail "Installing packages works on Debian and Ubuntu only, and $name is neither (or has no apt-get)." \
    "Install these with the system's own package manager:" \
    "  a C++20 compiler, CMake 3.25 or newer, Ninja, pkg-config" \
    "  libtorch 1.13 or newer, OpenBLAS, Boost 1.$BOOST_MINOR or newer with Boost.JSON" \
    "  yaml-cpp, spdlog, CLI11, xxHash, libdeflate" \
    "  for the tests also: GoogleTest, xxhsum, Python 3 with PyTorch, strace, e2fsprogs, xfsprogs, btrfs-progs, git," \
    "    elfutils (eu-stack), Python's sdnotify, systemd, yaml and jsonschema modules, libsystemd, systemd-nspawn," \
    "    dpkg-shlibdeps, QEMU for x86" \
    "Then run it again like this: TS_SKIP_INSTALL=1 $TS_COMMAND" \
    "A library in an unusual place is found by way of CMAKE_PREFIX_PATH."
}

have() { command -v "$1" >/dev/null; }

# find_missing NAME...: sorts the wanted packages into INSTALLED and MISSING.
find_missing() {
  local name status version
  INSTALLED=()
  # shellcheck disable=SC2016  # the ${} are dpkg-query's
  while read -r name status version; do
    if [[ $status == installed ]]; then INSTALLED[$name]=$version; fi
  done < <(dpkg-query -W -f='${Package} ${db:Status-Status} ${Version}\n' "$@" 'libboost1.*-dev' 'libboost-json1.*-dev' 2>/dev/null)

  BOOST_CHOSEN=$(choose_boost "${!INSTALLED[@]}")
  MISSING=()
  for name in "$@"; do
    name=${name/1.$BOOST_MINOR-/1.$BOOST_CHOSEN-}
    if [[ -z ${INSTALLED[$name]:-} ]] && ! provided_otherwise "$name"; then MISSING+=("$name"); fi
  done
}

# choose_boost INSTALLED...: the minor version of the Boost to use. One that is installed and new enough comes first,
# because two versions exclude each other; else the oldest new enough one that apt knows (Debian 12 has 1.81, later
# releases have later ones).
choose_boost() {
  local name oldest=''
  for name in "$@"; do
    if [[ $name =~ ^libboost1\.([0-9]+)-dev$ ]] && ((BASH_REMATCH[1] >= BOOST_MINOR)); then
      printf '%s' "${BASH_REMATCH[1]}"
      return
    fi
  done
  while read -r name; do
    if [[ $name =~ ^libboost-json1\.([0-9]+)-dev$ ]] && ((BASH_REMATCH[1] >= BOOST_MINOR)) &&
      [[ -z $oldest || ${BASH_REMATCH[1]} -lt $oldest ]]; then
      oldest=${BASH_REMATCH[1]}
    fi
  done < <(apt-cache pkgnames libboost-json1. 2>/dev/null)
  printf '%s' "${oldest:-$BOOST_MINOR}"
}

# provided_otherwise NAME: true for what the user says is there, and for a libtorch of the user's own.
provided_otherwise() {
  local prefix prefixes
  if [[ " ${TS_SKIP_PACKAGES:-} " == *" $1 "* ]]; then return 0; fi
  if [[ $1 != libtorch-dev ]]; then return 1; fi
  IFS=':;' read -r -a prefixes <<<"${CMAKE_PREFIX_PATH:-}"
  for prefix in "${prefixes[@]}"; do
    if [[ -n $prefix && (-e $prefix/share/cmake/Torch/TorchConfig.cmake || -e $prefix/lib/cmake/Torch/TorchConfig.cmake) ]]; then
      return 0
    fi
  done
  return 1
}

# Sets PRIVILEGE to what apt-get is run with, or ends with the command an administrator has to run.
choose_privilege() {
  PRIVILEGE=()
  if [[ $(id -u) == 0 ]]; then return; fi
  local why="and there is no sudo"
  if have sudo; then
    PRIVILEGE=(sudo)
    if sudo -n true 2>/dev/null; then return; fi
    if [[ ${CI:-} != true ]] && { : </dev/tty; } 2>/dev/null; then
      say "Installing needs root; sudo may ask for your password."
      return
    fi
    why="sudo wants a password, and there is no terminal to ask for it"
  fi
  fail "Installing packages needs root: you are $(id -un), $why." \
    "Ask an administrator to run:" \
    "  apt-get update && apt-get install -y --no-install-recommends ${MISSING[*]}" \
    "and then run $TS_COMMAND again; it will not need root."
}

# install_missing NAME...: installs MISSING and checks that every NAME is there afterwards.
install_missing() {
  local log=$TS_ROOT/build/install.log
  : >"$log"
  # A failed update alone is not the end: one broken foreign source should not keep the rest from working.
  run_apt "$log" update || say "  apt-get update failed; trying to install with the package lists that are there."
  find_missing "$@"  # the fresh lists may hold another Boost
  if ! run_apt "$log" install -y --no-install-recommends --no-remove "${MISSING[@]}"; then
    explain_apt_failure "$log"
  fi
  find_missing "$@"
  if ((${#MISSING[@]} > 0)); then
    show_tail "$log" 15
    fail "apt-get reported success, but these are still not installed: ${MISSING[*]}." "Its whole output: $log"
  fi
  say "Packages installed."
}

# run_apt LOG VERB...: runs apt-get as root, shows the command and how far it is, keeps the output in LOG.
run_apt() {
  local log=$1
  shift
  # English messages, because they are read below; no questions; patience with a lock that unattended upgrades may hold.
  local command=("${PRIVILEGE[@]}" env LC_ALL=C DEBIAN_FRONTEND=noninteractive
    apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@")
  say "Running: ${command[*]}"
  printf '$ %s\n' "${command[*]}" >>"$log"
  "${command[@]}" </dev/null 2>&1 9>&- | show_apt_progress "$log"
}

show_apt_progress() {
  local log=$1 line total=0 set_up=0
  start_progress
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$log"
    case $line in
      'Need to get '* | 'Fetched '*) say "  $line" ;;
      *' newly installed, '*)
        line=${line%% newly installed*}
        total=${line##* }
        ;;
      'Setting up '*)
        set_up=$((set_up + 1))
        if ((total > 0 && set_up <= total)); then show_progress "set up" "$set_up" "$total"; fi
        ;;
    esac
  done
}

# explain_apt_failure LOG: says which of the usual reasons it was, and what to do.
explain_apt_failure() {
  local log=$1 unknown offline='Could not resolve|Temporary failure resolving|Could not connect|Unable to connect'
  offline+='|Connection timed out|connection timed out|Connection refused|Network is unreachable|No route to host'
  offline+='|Failed to fetch|Some index files failed to download'
  local again="Then run $TS_COMMAND again." whole="(Its whole output: $log)"
  # Also a name it has no version of: "Package 'x' has no installation candidate".
  unknown=$(sed -nE "s/^E: Unable to locate package ([^ ]+).*/\1/p; s/^E: Package '([^']+)' has no installation.*/\1/p" "$log" |
    sort -u | paste -sd ' ')
  printf '\napt-get failed; the end of what it said:\n' >&2
  show_tail "$log" 12

  if grep -qE 'remove is disabled' "$log"; then
    fail "Installing would remove packages from this system, and that is not done without you." \
      "Most often another Boost is in the way: libboost1.$BOOST_MINOR-dev excludes the -dev packages of other Boost versions." \
      "See what would be removed: apt-get install --simulate ${MISSING[*]}" \
      "If you can do without it, run that command as root without --simulate. $again $whole"
  elif grep -qE 'Could not get lock|Unable to acquire the dpkg frontend lock' "$log"; then
    fail "Another program is installing packages right now. Wait until it is done. $again $whole"
  elif grep -qE 'dpkg was interrupted' "$log"; then
    fail "An earlier installation was cut off. Finish it first, as root: dpkg --configure -a" "$again $whole"
  elif grep -qE 'No space left on device|enough free space' "$log"; then
    fail "The disk is too full to install the packages. Make room (apt-get clean helps). $again $whole"
  elif grep -qE "$offline" "$log"; then
    fail "The package mirror could not be reached: this machine is offline, or its mirror or proxy is wrong or down." \
      "Missing: ${MISSING[*]}" \
      "Check the network, /etc/apt/sources.list and any proxy in /etc/apt/apt.conf.d. $again $whole"
  elif [[ -n $unknown ]]; then
    local hint="Enable the part of the distribution that has them (on Ubuntu: universe), or install them by other means and name"
    if [[ $unknown == *libboost* ]]; then
      hint="Boost 1.$BOOST_MINOR or newer is needed and this release has none: use Debian 12, Ubuntu 24.04 or newer, or install one yourself and name"
    fi
    fail "This release of the system does not have: $unknown" \
      "$hint it in TS_SKIP_PACKAGES: TS_SKIP_PACKAGES='$unknown' $TS_COMMAND $whole"
  elif grep -qE 'unmet dependencies|held broken packages' "$log"; then
    fail "The packages installed here do not fit together with the ones needed (a mix of releases, or packages on hold)." \
      "Try as root: apt-get --fix-broken install" "$again $whole"
  fi
  fail "Not installed: ${MISSING[*]}" "$again $whole"
}
