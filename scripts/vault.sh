#!/usr/bin/env bash
# Prints the path of a real HashiCorp Vault for the tests and the demo, and builds it first if it is not there yet.
#
# The build takes some 6 minutes of processor time (190 s on 2 busy cores), so its result is kept outside of the tree, below
# ${XDG_CACHE_HOME:-~/.cache}/sallyport, under a name that holds what it is built from. Runs at the same time wait for
# one build. Vault is under the Business Source License: a test tool, never linked into the product or shipped with it.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../tools/vault"

say() { printf 'vault: %s\n' "$*" >&2; }

readonly flags=(-trimpath -ldflags '-s -w') # without symbols the linker needs less memory, and the file less disk

cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/sallyport
fingerprint=$({ go env GOVERSION GOOS GOARCH && printf '%s\n' "${flags[*]}" && cat go.mod go.sum main.go; } | sha256sum)
program=$cache/vault-${fingerprint:0:16}

if [[ ! -x $program ]]; then
	mkdir -p "$cache"
	exec 9>"$cache/vault.lock"
	if ! flock -n 9; then
		say "another run is building it; waiting"
		flock 9
	fi
	if [[ ! -x $program ]]; then
		say "building it, once, into $program; this takes some minutes"
		# Renamed when it is whole: a killed build leaves no program that looks like one.
		trap 'rm -f "$program.part"' EXIT
		trap 'exit 129' HUP
		trap 'exit 130' INT
		trap 'exit 143' TERM
		begin=$SECONDS
		go build "${flags[@]}" -o "$program.part" .
		mv "$program.part" "$program"
		say "built in $((SECONDS - begin)) s"
	fi
fi
printf '%s\n' "$program"
