#!/usr/bin/env bash
# Builds the tests, then runs them on a throw-away PostgreSQL server.
set -euo pipefail
cd "$(dirname "$0")/.."

if cargo nextest --version >/dev/null 2>&1; then
	tests=(cargo nextest run --workspace)
	build=("${tests[@]}" --no-run)
	# nextest does not run the tests in the documentation.
	if grep -rqE '^ *//[/!] ```' --include='*.rs' src crates; then
		documentation=(cargo test -q --doc --workspace)
	fi
else
	tests=(cargo test --workspace)
	build=("${tests[@]}" --no-run)
fi

"${build[@]}"
cargo run -q -p private-postgres --bin with-postgres -- "${tests[@]}"
if [ -n "${documentation+set}" ]; then
	"${documentation[@]}"
fi
