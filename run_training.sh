#!/bin/bash
# Installs what is missing, builds what training needs, and trains: see --help.
source "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/scripts/setup.sh"

usage() {
  cat <<'HELP'
Usage: run_training.sh [--build-only] [--config FILE] [OPTION...]

Installs the packages that are missing (Debian and Ubuntu, with sudo when you are not root), builds the programs, and
runs the supervisor in the foreground until training is done. Ctrl+C stops it gracefully, the state is saved; the same
command goes on where it stopped. What is installed and built already is left alone. Works from any directory.

  --config FILE   the configuration (default: config/config.yaml beside this script)
  --fresh         start a new run; the checkpoints of the old one are set aside, not deleted
  --build-only    install and build, do not train
  -h, --help      this text

Every other OPTION goes to trainer-supervisor; build/release/bin/trainer-supervisor --help lists them.
Relative paths inside the configuration are relative to the directory of this script.

Environment:
  TS_SKIP_INSTALL=1                install nothing (systems other than Debian and Ubuntu)
  TS_SKIP_PACKAGES="libtorch-dev"  packages you have by other means
  CMAKE_PREFIX_PATH=DIR            where your own libtorch is, if you do not want the system's
  TS_JOBS=N                        compile N files at once
HELP
}

config=$TS_ROOT/config/config.yaml
build_only=0
options=()

# use_config FILE: from the directory the user is in, because we leave it before the supervisor starts.
use_config() {
  config=$1
  if [[ $config != /* ]]; then config=$PWD/$config; fi
  if [[ ! -f $config || ! -r $config ]]; then fail "The configuration $config does not exist or cannot be read."; fi
}

while (($# > 0)); do
  case $1 in
    -h | --help)
      usage
      exit 0
      ;;
    --build-only) build_only=1 ;;
    --config)
      if (($# < 2)); then fail "--config needs the name of a file."; fi
      use_config "$2"
      shift
      ;;
    --config=*) use_config "${1#--config=}" ;;
    *) options+=("$1") ;;
  esac
  shift
done

setup_begin
ensure_packages "${TRAINING_PACKAGES[@]}"
configure_release keep
build_release trainer-supervisor supervisorctl trainer
setup_end

if ((build_only)); then exit 0; fi
# exec, so that Ctrl+C and every other signal meet the supervisor and nobody else.
exec "$BUILD_DIRECTORY/bin/trainer-supervisor" --config "$config" --exit-when-done "${options[@]}"
