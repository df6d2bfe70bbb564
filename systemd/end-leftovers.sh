#!/bin/sh
# end-leftovers UNIT MARK: ends what UNIT has left running in its control group, if the file MARK says that the stop was
# meant. Without the mark the daemon was killed, and the worker is left for the next daemon to adopt.
#
# ExecStopPost= of trainer-supervisor.service. First SIGTERM, so that a worker may still save; SIGKILL after a minute.
# Exit status: 0, or 1 when something is still there.
#
# Members are found in /proc, by their own account of where they belong, so any version of control groups will do; and
# with nothing but what is built into the shell, because a helper would be a member too.
set -u
unit=$1
mark=$2
[ -e "$mark" ] || exit 0

# Sets `group` to the control groups of a process, empty when it has just ended.
read_group() {
  group=
  {
    while IFS= read -r line; do group="$group$line|"; done <"/proc/$1/cgroup"
  } 2>/dev/null
}

read_group self
own=$group
case $own in
  */"$unit|"*) ;;
  *)
    echo "end-leftovers: not in the control group of $unit, so nothing is ended" >&2
    exit 1
    ;;
esac

# One that has ended, and waits for its parent to take note, holds nothing any more.
is_zombie() {
  text=
  { IFS= read -r text <"/proc/$1/stat"; } 2>/dev/null
  case ${text##*) } in
    Z* | X*) return 0 ;;
    *) return 1 ;;
  esac
}

# Sets `left` to the others in our control group.
find_left() {
  left=
  for folder in /proc/[0-9]*; do
    pid=${folder#/proc/}
    if [ "$pid" = $$ ]; then continue; fi
    read_group "$pid"
    if [ "$group" = "$own" ] && ! is_zombie "$pid"; then left="$left $pid"; fi
  done
}

# end_with SIGNAL SECONDS: true when nothing is left.
end_with() {
  find_left
  if [ -z "$left" ]; then return 0; fi
  echo "end-leftovers: ending what the daemon has left running, with SIG$1:$left" >&2
  # shellcheck disable=SC2086  # a list of numbers
  kill -s "$1" $left 2>/dev/null
  # shellcheck disable=SC2086
  kill -s CONT $left 2>/dev/null  # whoever is stopped cannot end
  tenths=$(($2 * 10))
  while [ "$tenths" -gt 0 ]; do
    find_left
    if [ -z "$left" ]; then return 0; fi
    sleep 0.1
    tenths=$((tenths - 1))
  done
  return 1
}

end_with TERM 60 || end_with KILL 15 || {
  echo "end-leftovers: these do not end even after SIGKILL, they hang in the kernel:$left" >&2
  exit 1
}
