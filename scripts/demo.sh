#!/usr/bin/env bash
# Shows what Dormouse does, from an empty directory to a clean stop: scripts/demo.sh PATH-TO-DORMOUSE
#
# Everything lives in one temporary directory, which is removed at the end. What a missing prerequisite keeps from running
# is named with the command that installs it; the rest still runs.
set -euo pipefail

dormouse=$(realpath "${1:?usage: scripts/demo.sh PATH-TO-DORMOUSE}")
root=$(cd "$(dirname "$0")/.." && pwd)
home=$(mktemp -d "${TMPDIR:-/tmp}/dormouse-demo-XXXXXX")
node_pid=
failed=0

cleanup() {
  if [ -n "$node_pid" ] && kill -0 "$node_pid" 2>/dev/null; then
    kill "$node_pid" 2>/dev/null || true
    wait "$node_pid" 2>/dev/null || true
  fi
  rm -rf "$home"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi
title() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
note() { printf '   %s\n' "$*"; }
# An argument as a user would type it.
quoted() { case $1 in *[!A-Za-z0-9_./:=@-]*|'') printf " '%s'" "${1//\'/\'\\\'\'}" ;; *) printf ' %s' "$1" ;; esac; }
# Prints a command as a user would type it, and runs it.
show() {
  local argument
  printf '\n$ dormouse'; for argument in "$@"; do quoted "$argument"; done; printf '\n'
  "$dormouse" "$@"
}
# show, and remember a failure instead of ending.
try() { show "$@" || { failed=1; note "this step failed"; }; }
# try an invocation, keeping its log tail in a file for `reported`.
call() { # FILE NAME PAYLOAD
  try invoke "$2" --payload "$3" --tail 2>"$1"
  cat "$1" >&2
}
# What the REPORT line in a file says of a name, such as `Init Duration`.
reported() { grep -oP "\t$1: \K[0-9.]+ ms" "$2" || printf 'unknown'; }

# What the variables of another platform say is not meant here.
unset AWS_ENDPOINT_URL AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE AWS_REGION AWS_DEFAULT_REGION
unset DORMOUSE_CONFIG
export DORMOUSE_DATA_DIR=$home/data

languages=()
if command -v python3 >/dev/null; then languages+=(python); else
  note "Python is missing; the Python function is left out. To install it: apt-get install python3"
fi
if command -v node >/dev/null; then languages+=(nodejs); else
  note "Node.js is missing; the Node.js function is left out. To install it: apt-get install nodejs"
fi

title "Start the platform in $home"
mkfifo "$home/announcement"
"$dormouse" up --listen 127.0.0.1:0 >"$home/announcement" 2>"$home/log" &
node_pid=$!
# The one line that `up` prints, or nothing when it ended before it could.
if ! read -r announcement <"$home/announcement"; then
  note "the platform did not start; it says:"
  cat "$home/log"
  exit 1
fi
note "${announcement%% secret_access_key=*}"

if [ ${#languages[@]} = 0 ]; then
  note "Without Python and Node.js there is no function to show. Install one of them and run this again."
fi

for language in "${languages[@]}"; do
  title "A function in $language: deployed, called, looked at"
  project=$home/$language
  "$dormouse" init "$language" "$project" >/dev/null
  if ! show deploy "$project" --name "$language"; then
    failed=1
    note "it could not be deployed; dormouse doctor says what this host lacks"
    continue
  fi
  call "$home/cold" "$language-Hello" '{"name": "cold mouse"}'
  call "$home/warm" "$language-Hello" '{"name": "warm mouse"}'
  note "the cold call: $(reported 'Init Duration' "$home/cold") to start a sandbox and load the code, $(reported Duration "$home/cold") in the handler"
  note "the warm call: $(reported Duration "$home/warm") in the handler"
  note "an asynchronous call is answered once the event is on disk"
  try invoke "$language-Hello" --payload '{"name": "patient mouse"}' --async
  # The answer of the asynchronous call is seen in the log.
  for _ in $(seq 100); do
    "$dormouse" logs "$language-Hello" | grep -q 'greeting patient mouse' && break
    sleep 0.1
  done
  try logs "$language-Hello" --since 10m
done

title "What there is, and what it cost"
try functions
try usage --tariff "$root/packaging/tariff.example.toml"

title "Stop"
kill "$node_pid"
if wait "$node_pid"; then note "stopped cleanly"; else failed=1; note "it ended with an error:"; tail -n 20 "$home/log"; fi
node_pid=
exit $failed
