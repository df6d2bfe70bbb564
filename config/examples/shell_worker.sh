#!/bin/sh
# A worker that knows nothing of the supervisor but signals and exit codes. It never beats (heartbeat_timeout: 0s), and it
# goes on by itself from a progress file of its own: {checkpoint} is for pairs of the supervisor's format only.
set -eu
folder=$1
steps=$2
progress=$folder/progress
mkdir -p "$folder"

stop=
trap 'stop=yes' TERM INT

done=0
if [ -e "$progress" ]; then done=$(cat "$progress"); fi
echo "from step $done"

while [ "$done" -lt "$steps" ]; do
  sleep 0.05 || true # the work; a signal that asks to stop may end it early
  done=$((done + 1))
  # Under another name, synced, renamed, and the name synced: whatever is unplugged when, one of the two is there whole.
  echo "$done" >"$progress.new"
  sync "$progress.new"
  mv "$progress.new" "$progress"
  sync "$folder"
  if [ -n "$stop" ] && [ "$done" -lt "$steps" ]; then exit 75; fi # saved: start me again
done
echo "done: $done steps"
