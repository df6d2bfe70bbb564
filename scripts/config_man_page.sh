#!/bin/sh
# config_man_page.sh FILE VERSION: the manual page trainer-supervisor.yaml(5) from the annotated configuration, whose
# comments are the only place where keys are explained. A key of the first level is a section; what is commented before
# a key is about it.
set -eu
awk -v version="$2" '
function roff(text) {
  gsub(/\\/, "\\e", text)
  gsub(/-/, "\\-", text)
  return text ~ /^[.\x27]/ ? "\\&" text : text
}
BEGIN {
  printf ".TH \"TRAINER\\-SUPERVISOR.YAML\" 5 \"\" \"trainer\\-supervisor %s\"\n.nh\n", version
  print ".SH NAME\ntrainer\\-supervisor.yaml \\- configuration of trainer\\-supervisor and trainer"
  print ".SH DESCRIPTION"
}
/^ *#/ {
  line = $0
  sub(/^ *# ?/, "", line)
  as_it_is = line ~ /^ /
  if (as_it_is && !verbatim) comment = comment ".nf\n"
  if (!as_it_is && verbatim) comment = comment ".fi\n"
  verbatim = as_it_is
  if (line == "") comment = comment ".PP\n"
  else comment = comment roff(line) "\n"
  next
}
/^ *$/ { if (!begun) { printf "%s", comment; comment = ""; begun = 1 }; next }
/^[a-z_]+:/ {
  name = $1
  sub(/:.*/, "", name)
  if (!sections++) print ".SH KEYS"
  printf ".SS \"%s\"\n%s", roff(name), comment
  comment = ""
  next
}
/^  [a-z_]+:/ {
  key = $0
  sub(/^ +/, "", key)
  value = key
  sub(/:.*/, "", key)
  sub(/^[a-z_]+: */, "", value)
  gsub(/"/, "\\(dq", value)
  printf ".TP\n.BR \"%s\" \" (default: %s)\"\n%s", roff(key), value, comment
  comment = ""
}
END {
  print ".SH \"SEE ALSO\"\n.BR trainer\\-supervisor (8),\n.BR supervisorctl (1),\n.BR trainer (1)"
}' "$1"
