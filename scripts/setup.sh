#!/usr/bin/env bash
# Sees to it that what a build and a run need is there: cargo, a C compiler and
# the PostgreSQL server; with `tests` as its argument, a Redis server too, which a
# shop may have and the tests need. Installs all but cargo where it knows how, and
# only if they are missing. Does nothing, quickly, if nothing is missing.
set -euo pipefail

tests=
if [ "${1:-}" = tests ]; then tests=yes; fi

oldest=15

fail() {
	echo "setup: $*" >&2
	exit 1
}

# Whether the directory holds a PostgreSQL server that is new enough.
is_postgres() {
	[ -x "$1/postgres" ] || return 1
	# Some systems link `postgres` alone into the PATH; the program follows the link.
	[ -x "$1/initdb" ] || [ -L "$1/postgres" ] || return 1
	local version
	version=$("$1/postgres" --version | sed -E 's/^.*\(PostgreSQL\) ([0-9]+).*$/\1/')
	[[ $version =~ ^[0-9]+$ ]] && [ "$version" -ge "$oldest" ]
}

# The places where the program looks, too.
has_postgres() {
	local dir
	if [ -n "${PG_BIN:-}" ]; then
		is_postgres "$PG_BIN"
		return
	fi
	local IFS=:
	for dir in $PATH; do
		is_postgres "$dir" && return
	done
	for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin \
		/opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin \
		/opt/homebrew/opt/postgresql/bin /usr/local/opt/postgresql/bin; do
		is_postgres "$dir" && return
	done
	return 1
}

has_redis() {
	[ -z "$tests" ] || command -v redis-server >/dev/null || command -v valkey-server >/dev/null
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif ! command -v sudo >/dev/null; then
		fail "need root to install packages; as root, run: apt-get install ${packages[*]}"
	elif [ -t 0 ]; then
		sudo "$@"
	else
		sudo -n "$@" ||
			fail "sudo wants a password; as root, run: apt-get install ${packages[*]}"
	fi
}

install_with_apt() {
	if [[ " ${packages[*]} " == *" postgresql "* ]]; then
		# Debian's package makes a cluster and starts it unless told otherwise, and
		# nobody here would use it.
		as_root mkdir -p /etc/postgresql-common/createcluster.d
		echo "create_main_cluster = false" |
			as_root tee /etc/postgresql-common/createcluster.d/no-main-cluster.conf >/dev/null
	fi
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -q install -y --no-install-recommends "${packages[@]}"
	if [[ " ${packages[*]} " == *" redis-server "* ]] && [ -d /run/systemd/system ]; then
		# The tests start their own.
		as_root systemctl disable --now --quiet redis-server
	fi
}

command -v cargo >/dev/null ||
	fail "cargo is not in the PATH; install Rust from https://rustup.rs and try again"

if [ -n "${PG_BIN:-}" ] && ! has_postgres; then
	fail "PG_BIN is $PG_BIN, where there is no PostgreSQL $oldest or newer"
fi

packages=()
has_postgres || packages+=(postgresql)
command -v cc >/dev/null || packages+=(build-essential)
has_redis || packages+=(redis-server)
[ ${#packages[@]} -gt 0 ] || exit 0

if command -v apt-get >/dev/null; then
	echo "setup: installing ${packages[*]}" >&2
	install_with_apt
elif [ "$(uname)" = Darwin ]; then
	command -v cc >/dev/null || fail "no C compiler; run: xcode-select --install"
	command -v brew >/dev/null ||
		fail "no Homebrew to install PostgreSQL with; get it from https://brew.sh," \
			"or PostgreSQL $oldest or newer in another way, and name its bin directory in PG_BIN"
	has_postgres || brew install postgresql@17
	has_redis || brew install redis
else
	fail "install the PostgreSQL server, $oldest or newer, a C compiler, and for the tests Redis or Valkey" \
		"(on Fedora: dnf install postgresql-server gcc valkey; on Arch: pacman -S postgresql gcc valkey;" \
		"on Alpine: apk add postgresql build-base valkey), then try again"
fi

has_postgres || fail "the PostgreSQL of this system is older than $oldest;" \
	"https://www.postgresql.org/download/ tells how to get a newer one"
