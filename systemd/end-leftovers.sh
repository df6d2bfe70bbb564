#!/bin/sh
# end-leftovers UNIT MARK: ends what UNIT has left running in its control group, if the file MARK says that the stop was
# meant. Without the mark the daemon was killed, and the worker is left for the next daemon to adopt. ExecStopPost= of
# trainer-supervisor.service.
#
# end-leftovers UNIT --without-daemon [--user]: the same when UNIT is to be stopped and has no daemon, so that systemd runs
# nothing of UNIT itself. ExecStop= of trainer-supervisor-leftovers@.service, for which the stop of UNIT waits.
#
# First SIGTERM, so that a worker may still save; SIGKILL after a minute. Exit status: 0, or 1 when something is still there.
#
# Members are found in /proc, by their own account of where they belong, so any version of control groups will do; and
# with nothing but what is built into the shell, because as ExecStopPost= a helper would be a member too.
set -u
unit=$1
mark=$2
manager=${3:---system}

# Sets `groups` to the control groups of a process, each with | before and after it; empty when it has just ended.
read_groups() {
  groups='|'
  {
    while IFS= read -r line; do groups="$groups${line#*:*:}|"; done <"/proc/$1/cgroup"
  } 2>/dev/null
}

# Sets `own` to the control group of the unit, which is ours too.
find_own_group() {
  read_groups self
  case $groups in
    *"/$unit|"*) ;;
    *)
      echo "end-leftovers: not in the control group of $unit, so nothing is ended" >&2
      exit 1
      ;;
  esac
  own=${groups%%"/$unit|"*}
  own=${own##*"|"}/$unit
}

show() { systemctl "$manager" show -P "$1" "$unit"; }

# Prints what systemd is about to do with the unit: stop, start, restart; nothing.
find_job() {
  systemctl "$manager" --no-legend --plain list-jobs | while read -r _ name kind _; do
    if [ "$name" = "$unit" ]; then echo "$kind"; fi
  done
}

# True when the unit is to be stopped, not started again, and nobody is there to do it.
is_stopped_without_daemon() {
  case $(find_job) in
    stop) ;;
    '') # A daemon that dies as it is to be stopped ends that job before its turn has come.
      case $(show ActiveState) in
        failed | inactive) return 0 ;;
        *) return 1 ;;
      esac ;;
    *) return 1 ;;
  esac
  # A daemon that is on its way here or away takes moments.
  tenths=100
  while [ "$tenths" -gt 0 ]; do
    case $(show ActiveState)/$(show SubState) in
      activating/auto-restart | failed/* | inactive/*) return 0 ;;
      activating/* | deactivating/*) sleep 0.1 ;;
      *) return 1 ;;
    esac
    tenths=$((tenths - 1))
  done
  return 1
}

# One that has ended, and waits for its parent to take note, holds nothing any more.
is_zombie() {
  text=
  { IFS= read -r text <"/proc/$1/stat"; } 2>/dev/null
  case ${text##*) } in
    Z* | X*) return 0 ;;
    *) return 1 ;;
  esac
}

# Sets `left` to the others in the control group.
find_left() {
  left=
  for folder in /proc/[0-9]*; do
    pid=${folder#/proc/}
    if [ "$pid" = $$ ]; then continue; fi
    read_groups "$pid"
    case $groups in
      *"|$own|"*) if ! is_zombie "$pid"; then left="$left $pid"; fi ;;
    esac
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

if [ "$mark" = --without-daemon ]; then
  is_stopped_without_daemon || exit 0
  own=$(show ControlGroup)
  if [ -z "$own" ]; then exit 0; fi  # it has none any more, so nothing is in it
else
  [ -e "$mark" ] || exit 0
  find_own_group
fi

end_with TERM 60 || end_with KILL 15 || {
  echo "end-leftovers: these do not end even after SIGKILL, they hang in the kernel:$left" >&2
  exit 1
}
