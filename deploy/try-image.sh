#!/usr/bin/env bash
# Starts an image of the gateway as deploy/compose.yaml does, asks it, drains it in the middle of answers, starts it
# again on the same volume, and says what it saw. Needs an engine and curl. Exits with 1 at the first surprise.
#
#   deploy/try-image.sh mooring:0.1.0 [docker|podman] [port on this machine]
set -euo pipefail

image=${1:?the image to try}
engine=${2:-docker}
port=${3:-3999}
url=http://127.0.0.1:$port
name=mooring-try-$$
folder=$(mktemp -d)
hex() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
session=$(hex 16)
key=$(hex 32)

# podman would put writable folders into a read-only root.
strict=(--read-only)
[ "$engine" = podman ] && strict+=(--read-only-tmpfs=false)
strict+=(--cap-drop ALL --security-opt no-new-privileges --memory 1g --pids-limit 200)
run() { "$engine" run "${strict[@]}" "$@"; }

finish() {
  local code=$?
  [ "$code" -eq 0 ] || "$engine" logs "$name" 2>&1 | tail -20 || true
  "$engine" rm -f "$name" >/dev/null 2>&1 || true
  "$engine" volume rm -f "$name" >/dev/null 2>&1 || true
  rm -rf "$folder"
}
trap finish EXIT
fail() {
  echo "FAILED: $*" >&2
  exit 1
}
# is WHAT EXPECTED FOUND
is() {
  [ "$3" = "$2" ] || fail "$1: $3 instead of $2"
  echo "ok  $1: $3"
}
status() { curl -s -o "$folder/body" -w '%{http_code}' "$url$1"; }
await_ready() {
  for _ in $(seq 150); do
    [ "$(status /health/ready || true)" = 200 ] && return
    sleep 0.2
  done
  fail 'not ready within 30 s'
}
# ask MESSAGE_ID TEXT: streams the answer into a file of that name; returns once its first words are there.
ask() {
  curl -sN "$url/api/chat" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' \
    -d "{\"id\":\"$session\",\"messages\":[{\"id\":\"$1\",\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"text\":\"$2\"}]}]}" \
    >"$folder/$1" &
  asked=$!
  for _ in $(seq 100); do
    grep -q 'word-3' "$folder/$1" && return
    sleep 0.1
  done
  fail "no answer: $(cat "$folder/$1")"
}
history() { curl -s "$url/api/chat/$session" -H "Authorization: Bearer $key"; }
exit_code() { "$engine" inspect -f '{{.State.ExitCode}}' "$name"; }
# Signals it and waits for its end; 40 s is what compose.yaml gives it.
stop() { "$engine" stop -t 40 "$name" >/dev/null; }

echo "== $image"
"$engine" inspect -f 'size: {{.Size}} bytes, user: {{.Config.User}}' "$image"
"$engine" inspect -f 'entrypoint: {{json .Config.Entrypoint}} {{json .Config.Cmd}}' "$image"
"$engine" inspect -f 'labels: {{json .Config.Labels}}' "$image"

echo '== a value that cannot be used'
code=0
run --rm -e PORT=never -e STORE=floppy "$image" 2>"$folder/refused" || code=$?
sed 's/^/    /' "$folder/refused"
is 'exit code' 1 "$code"

echo '== a start, read-only, without capabilities'
run -d --name "$name" -v "$name:/data" -p "127.0.0.1:$port:$port" -e "PORT=$port" -e DRAIN_TIMEOUT=8s "$image" >/dev/null
await_ready
is 'GET /health/ready' 200 "$(status /health/ready)"
is 'GET /health/live' 200 "$(status /health/live)"
is 'GET /, the web chat' 200 "$(status /)"
is 'GET /docs/' 200 "$(status /docs/)"
is 'its user' 1000 "$("$engine" exec "$name" id -u)"
is 'pid 1' tini "$("$engine" exec "$name" cat /proc/1/comm)"
code=0
"$engine" exec "$name" touch /app/x 2>/dev/null || code=$?
is 'writing beside /data fails' 1 "$code"
is 'files in /data' 'mooring.lock mooring.sqlite' \
  "$("$engine" exec "$name" sh -c 'cd /data && ls' | grep -v -e -wal -e -shm -e -journal | xargs)"
if [ "$engine" = podman ]; then
  code=0
  podman healthcheck run "$name" >/dev/null || code=$?
  is 'the health check' 0 "$code"
else
  for _ in $(seq 60); do
    [ "$("$engine" inspect -f '{{.State.Health.Status}}' "$name")" = healthy ] && break
    sleep 0.5
  done
  is 'the health check' healthy "$("$engine" inspect -f '{{.State.Health.Status}}' "$name")"
fi
# What an `exec` leaves behind becomes a child of pid 1.
"$engine" exec "$name" sh -c '(sleep 0.2 &)'
sleep 1
is 'zombies' 0 "$("$engine" exec "$name" sh -c 'cat /proc/[0-9]*/stat 2>/dev/null' | grep -c ') Z ' || true)"

echo '== SIGTERM amid an answer that ends within DRAIN_TIMEOUT'
ask m1 '/words 120'
stop
wait "$asked" || true
is 'exit code' 0 "$(exit_code)"
is 'the last word' 1 "$(grep -c 'word-120' "$folder/m1")"
is 'the end of its stream' 'data: [DONE]' "$(grep '^data' "$folder/m1" | tail -1)"

echo '== the same volume again, and SIGTERM amid an answer that does not'
"$engine" start "$name" >/dev/null
await_ready
history >"$folder/history"
is 'the answer of before' 1 "$(grep -c 'word-119 word-120' "$folder/history")"
ask m2 '/words 10000'
stop
wait "$asked" || true
is 'exit code' 0 "$(exit_code)"
is 'told as broken off' 1 "$(grep -c '"type":"abort"' "$folder/m2")"

echo '== what was shown is stored'
"$engine" start "$name" >/dev/null
await_ready
last=$(grep -o 'word-[0-9]*' "$folder/m2" | tail -1)
history >"$folder/history"
is "$last is in the history" 1 "$(grep -c "$last" "$folder/history")"

echo '== SIGKILL amid an answer'
ask m3 '/words 10000'
"$engine" kill "$name" >/dev/null
wait "$asked" || true
is 'exit code' 137 "$(exit_code)"
"$engine" start "$name" >/dev/null
await_ready
last=$(grep -o 'word-[0-9]*' "$folder/m3" | tail -1)
history >"$folder/history"
is "$last is in the history" 1 "$(grep -c "$last" "$folder/history")"
stop
is 'exit code' 0 "$(exit_code)"
"$engine" rm "$name" >/dev/null

echo '== in memory'
run -d --name "$name" -p "127.0.0.1:$port:$port" -e "PORT=$port" -e STORE=memory "$image" >/dev/null
await_ready
ask m4 '/words 20'
wait "$asked"
is 'the last word' 1 "$(grep -c 'word-20' "$folder/m4")"
is 'files in /data' '' "$("$engine" exec "$name" ls /data)"
stop
is 'exit code' 0 "$(exit_code)"
echo 'All as it should be.'
