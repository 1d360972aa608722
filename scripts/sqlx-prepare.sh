#!/usr/bin/env bash
# Renews .sqlx: what the database says about each query that is checked when
# the program is compiled. Run it with `make sqlx-prepare`, which provides the
# empty database; the program itself, which may not compile yet, is not needed.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${AGAPE_TEST_POSTGRES:-}" ]; then
	echo "sqlx-prepare: run it with \`make sqlx-prepare\`" >&2
	exit 1
fi
# A name of our own, in case the server is not a fresh one.
database=agape_sqlx_prepare
psql=(psql -X -q -v ON_ERROR_STOP=1)
export PGOPTIONS="-c client_min_messages=warning"
"${psql[@]}" "$AGAPE_TEST_POSTGRES" -c "drop database if exists $database" \
	-c "create database $database"
url=${AGAPE_TEST_POSTGRES/\/postgres\?//$database?}

# In the order of their numbers, each in a transaction, as sqlx does.
while read -r file; do
	case $file in
	*.down.sql) continue ;;
	esac
	transaction=--single-transaction
	if head -n 1 "migrations/$file" | grep -q '^-- no-transaction'; then
		transaction=
	fi
	"${psql[@]}" ${transaction:+"$transaction"} "$url" -f "migrations/$file" >/dev/null
done < <(cd migrations && ls -- *.sql | sort -n)

# Into a new directory, so that a failure leaves the old one whole.
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
new=$temporary/sqlx
mkdir "$new"

# The queries are described while their crate is compiled, and cargo does not
# see that the database has changed.
for root in src/lib.rs src/main.rs; do
	if [ -e "$root" ]; then touch "$root"; fi
done
DATABASE_URL=$url SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$new \
	cargo check --all-targets --workspace

rm -rf .sqlx
mv "$new" .sqlx
echo "sqlx-prepare: $(find .sqlx -name 'query-*.json' | wc -l | tr -d ' ') queries in .sqlx"
