"""A copy of the scripts in a tiny project of their own, on a pretended system.

The project has the real presets and three "programs" that cmake and ninja really make, in no time. dpkg-query, apt-get,
apt-cache, sudo, id and cmake --version are stubs that stand first in a PATH of its own, so nothing on the machine is
installed, asked or changed. The stub of apt-get says what the real one says in each case.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

TOOLS = ("awk basename bash cat chmod cksum cmake ctest dirname env flock grep ln mkdir ninja nproc paste printf readlink rm "
         "sed sh sleep sort tail touch tr true").split()

DPKG_QUERY = r"""#!/bin/bash
echo "$*" >>"$STUBS/dpkg-query.log"
shift 2
while read -r name; do
  for wanted in "$@"; do
    if [[ $name == $wanted ]]; then echo "$name installed 1.0"; break; fi
  done
done <"$STUBS/installed"
if [[ -e $STUBS/removed ]]; then sed 's/$/ config-files 1.0/' "$STUBS/removed"; fi
"""

APT_GET = r"""#!/bin/bash
if { : >&9; } 2>/dev/null; then leaked=", and the lock leaked"; fi
echo "$*$leaked" >>"$STUBS/apt-get.log"
mode=$(cat "$STUBS/apt-mode")
packages=()
for word in "$@"; do
  case $word in install) verb=install ;; update) verb=update ;; -*|*=*) ;; *) packages+=("$word") ;; esac
done
if [[ $verb == update ]]; then
  if [[ $mode == offline* ]]; then
    echo "Err:1 http://mirror.invalid/debian bookworm InRelease"
    echo "  Temporary failure resolving 'mirror.invalid'"
    echo "W: Some index files failed to download. They have been ignored, or old ones used instead."
  fi
  [[ $mode != broken-source ]] || exit 100
  exit 0
fi
case $mode in
  works | broken-source)
    echo "0 upgraded, ${#packages[@]} newly installed, 0 to remove and 0 not upgraded."
    echo "Need to get 123 MB of archives."
    for package in "${packages[@]}"; do echo "Setting up $package (1.0) ..."; done
    printf '%s\n' "${packages[@]}" >>"$STUBS/installed"
    exit 0 ;;
  installs-nothing) exit 0 ;;
  offline-no-lists) echo "E: Unable to locate package ${packages[0]}" ;;
  offline) echo "E: Failed to fetch http://mirror.invalid/x.deb  Temporary failure resolving 'mirror.invalid'" ;;
  unknown-boost) echo "E: Unable to locate package libboost1.81-dev"
    echo "E: Couldn't find any package by glob 'libboost1.81-dev'"
    echo "E: Unable to locate package libboost-json1.81-dev" ;;
  unknown-torch) echo "E: Package 'libtorch-dev' has no installation candidate" ;;
  conflict) echo "E: Packages need to be removed but remove is disabled." ;;
  lock) echo "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (unattended-upgr)" ;;
  interrupted) echo "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem." ;;
  disk-full) echo "E: You don't have enough free space in /var/cache/apt/archives/." ;;
  strange) echo "E: Something nobody thought of" ;;
esac
exit 100
"""

APT_CACHE = '#!/bin/bash\ncat "$STUBS/known" 2>/dev/null || true\n'
ID = '#!/bin/bash\nif [[ $1 == -u ]]; then echo "${STUB_UID:-0}"; else echo someone; fi\n'
SUDO = r"""#!/bin/bash
echo "$*" >>"$STUBS/sudo.log"
if [[ $1 == -n ]]; then [[ ${STUB_SUDO:-free} == free ]]; exit; fi
exec "$@"
"""

CMAKELISTS = r"""cmake_minimum_required(VERSION 3.25)
project(tiny LANGUAGES NONE)
option(BUILD_TESTING "" OFF)
foreach(program trainer-supervisor supervisorctl trainer)
  add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/bin/${program} DEPENDS ${PROJECT_SOURCE_DIR}/program.sh
    COMMAND ${CMAKE_COMMAND} -E copy ${PROJECT_SOURCE_DIR}/program.sh ${PROJECT_BINARY_DIR}/bin/${program})
  add_custom_target(${program} ALL DEPENDS ${PROJECT_BINARY_DIR}/bin/${program})
endforeach()
if(BUILD_TESTING)
  enable_testing()
  add_custom_target(tests ALL DEPENDS ${PROJECT_BINARY_DIR}/a_test)
  add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/a_test COMMAND ${CMAKE_COMMAND} -E touch ${PROJECT_BINARY_DIR}/a_test)
  add_test(NAME passes COMMAND true)
  add_test(NAME skips COMMAND sh -c "echo 'SKIPPED: needs a moon'; exit 77")
  set_tests_properties(skips PROPERTIES SKIP_RETURN_CODE 77)
  add_test(NAME Suite.skips COMMAND cat ${PROJECT_SOURCE_DIR}/gtest_skip.txt)
  set_tests_properties(Suite.skips PROPERTIES SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
  add_test(NAME fails COMMAND sh -c "echo the reason; exit 1")
  set_tests_properties(fails PROPERTIES LABELS failing)
endif()
"""
GTEST_SKIP = """[ RUN      ] Suite.skips
/x/suite_test.cpp:12: Skipped
needs a loop
device
[  SKIPPED ] Suite.skips (0 ms)
[  SKIPPED ] 1 test, listed below:
"""
# Every program of the tiny project says how it was called.
PROGRAM = r"""#!/bin/bash
echo "in: $PWD"
echo "parent: $PPID"
printf 'argument: %s\n' "$@"
if { : >&9; } 2>/dev/null; then echo "the lock leaked"; fi
if [[ ! -e /proc/self/fd/0 ]]; then echo "no standard input"; fi
"""


class Sandbox:
    def __init__(self, installed=()):
        self._folder = tempfile.TemporaryDirectory(prefix="scripts ")
        top = pathlib.Path(self._folder.name).resolve()
        self.project = top / "a project"
        self.elsewhere = top / "else where"
        self.stubs = top / "stubs"
        for folder in (self.project / "config", self.elsewhere, self.stubs, top / "tools"):
            folder.mkdir(parents=True)
        for name in ("run_training.sh", "run_tests.sh", "CMakePresets.json"):
            shutil.copy(ROOT / name, self.project)
        shutil.copytree(ROOT / "scripts", self.project / "scripts")
        shutil.copytree(ROOT / ".ci", self.project / ".ci")
        self.write("CMakeLists.txt", CMAKELISTS)
        self.write("gtest_skip.txt", GTEST_SKIP)
        self.write("config/config.yaml", "")
        self.write("program.sh", PROGRAM).chmod(0o755)

        for tool in TOOLS:
            real = shutil.which(tool)
            if real:
                (top / "tools" / tool).symlink_to(real)
        for name, text in (("dpkg-query", DPKG_QUERY), ("apt-get", APT_GET), ("apt-cache", APT_CACHE), ("id", ID)):
            self.stub(name, text)
        (self.stubs / "installed").write_text("".join(f"{name}\n" for name in installed), encoding="utf-8")
        (self.stubs / "os-release").write_text('PRETTY_NAME="Debian 12"\nID=debian\n', encoding="utf-8")
        self.apt("works")
        self.environment = {"PATH": f"{self.stubs}:{top / 'tools'}", "STUBS": str(self.stubs), "HOME": str(top),
                            "TS_OS_RELEASE": str(self.stubs / "os-release"), "CI": "true"}

    def close(self):
        self._folder.cleanup()

    def write(self, name, text):
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def stub(self, name, text):
        (self.stubs / name).write_text(text, encoding="utf-8")
        (self.stubs / name).chmod(0o755)

    def add_sudo(self):
        self.stub("sudo", SUDO)

    def apt(self, mode):
        """How apt-get behaves from now on: a mode of the stub above."""
        (self.stubs / "apt-mode").write_text(mode, encoding="utf-8")

    def calls(self, program):
        log = self.stubs / f"{program}.log"
        return log.read_text(encoding="utf-8").splitlines() if log.exists() else []

    def run(self, script, *arguments, directory=None, **environment):
        return subprocess.run([self.project / script, *arguments], cwd=directory or self.elsewhere, text=True,
                              env={**self.environment, **environment}, stdin=subprocess.DEVNULL, capture_output=True,
                              start_new_session=True, timeout=50, check=False)

    def snapshot(self):
        """Every file of the build with its time of change: equal when nothing was redone."""
        build = self.project / "build"
        return {str(path.relative_to(build)): path.stat().st_mtime_ns for path in build.rglob("*")
                if path.is_file() and path.suffix != ".log" and "Testing" not in path.parts and path.name[0] != "."}


def packages_of(array):
    """The names in one of the arrays of scripts/packages.sh."""
    shown = subprocess.run(["bash", "-c", f'source "$1/scripts/packages.sh"; printf "%s\\n" "${{{array}[@]}}"', "-", ROOT],
                           capture_output=True, text=True, check=True, env=dict(os.environ, LC_ALL="C"))
    return shown.stdout.split()
