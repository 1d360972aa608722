#!/usr/bin/env bash
# Builds the tests, then runs them on a throw-away PostgreSQL server. Those of what
# a shop with Redis keeps there run a second time, on a throw-away Redis server.
set -euo pipefail
cd "$(dirname "$0")/.."

if cargo nextest --version >/dev/null 2>&1; then
	# All of them, so that one run tells all that fails.
	tests=(cargo nextest run --workspace --no-fail-fast)
	build=(cargo nextest run --workspace --no-run)
	# nextest does not run the tests in the documentation.
	if grep -rqE '^ *//[/!] ```' --include='*.rs' src crates; then
		documentation=(cargo test -q --doc --workspace)
	fi
else
	tests=(cargo test --workspace --no-fail-fast)
	build=(cargo test --workspace --no-run)
fi

with_postgres=(cargo run -q -p private-postgres --bin with-postgres --)

"${build[@]}"
"${with_postgres[@]}" "${tests[@]}"

redis=$(command -v redis-server || command -v valkey-server)
directory=$(mktemp -d)
"$redis" --port 0 --save "" --dir "$directory" --unixsocket "$directory/redis.sock" >/dev/null &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -rf "$directory"' EXIT
for _ in $(seq 100); do
	if [ -S "$directory/redis.sock" ]; then break; fi
	sleep 0.1
done
export AGAPE_TEST_REDIS=unix://$directory/redis.sock
rooms="carts catalog concurrency http journey limits nodes orders sessions"
if [ "${tests[1]}" = nextest ]; then
	"${with_postgres[@]}" cargo nextest run --workspace --no-fail-fast --test api -E "test(/^(${rooms// /|})::/)"
else
	# shellcheck disable=SC2086 # one word a room
	"${with_postgres[@]}" cargo test --workspace --test api -- $(printf '%s:: ' $rooms)
fi
unset AGAPE_TEST_REDIS
if [ -n "${documentation+set}" ]; then
	"${documentation[@]}"
fi
