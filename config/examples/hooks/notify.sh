#!/bin/sh
# A hook for hooks.on_event: says what matters on the desktop, by mail, or to a webhook, with standard tools.
#
#   hooks:
#     on_event: [config/examples/hooks/notify.sh, desktop, mail=me@example.org, webhook=https://example.org/hook]
#
# Each argument is one way; as many as you like. What matters: everything of level warn and error, and the end of the
# training. The event is on standard input as one line of JSON, and in TRAINER_EVENT_ID, _TIME, _TYPE, _LEVEL and
# _MESSAGE (docs/OPERATING.md, "Hooks"). Whatever cannot be told is an event of type hook, with what this prints last.
set -u

event=$(cat)
case "$TRAINER_EVENT_LEVEL $TRAINER_EVENT_TYPE" in
  warn\ * | error\ * | *\ supervisor) ;;
  *" state") case "$TRAINER_EVENT_MESSAGE" in "finished: "*) ;; *) exit 0 ;; esac ;;
  *) exit 0 ;;
esac
case "$TRAINER_EVENT_LEVEL" in debug) exit 0 ;; esac

title="training on $(uname -n): $TRAINER_EVENT_TYPE"
status=0
for way in "$@"; do
  case "$way" in
    desktop)
      urgency=normal
      [ "$TRAINER_EVENT_LEVEL" = error ] && urgency=critical
      notify-send --urgency="$urgency" --app-name=trainer-supervisor -- "$title" "$TRAINER_EVENT_MESSAGE" || status=1
      ;;
    mail=?*)
      printf '%s\n%s\n\n%s\n' "$TRAINER_EVENT_TIME" "$TRAINER_EVENT_MESSAGE" "$event" |
        mail -s "$title" -- "${way#mail=}" || status=1
      ;;
    webhook=?*)
      printf '%s\n' "$event" |
        curl --silent --show-error --fail --max-time 20 --header 'Content-Type: application/json' \
          --data-binary @- --output /dev/null -- "${way#webhook=}" || status=1
      ;;
    *)
      echo "notify.sh: '$way' is no way to tell anybody; use desktop, mail=ADDRESS or webhook=URL" >&2
      status=2
      ;;
  esac
done
exit "$status"
