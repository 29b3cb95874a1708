#!/usr/bin/env bash
# Prints the path of a program that the tests run against and the product never links, and builds it first if it is not
# there yet: scripts/peer.sh NAME PACKAGE builds PACKAGE of the module tools/NAME.
#
# Some of these builds take minutes, so their results are kept outside of the tree, below
# ${XDG_CACHE_HOME:-~/.cache}/sallyport, under a name that holds what they are built from. Runs at the same time wait for
# one build.
set -euo pipefail

name=$1 package=$2
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../tools/$name"

say() { printf '%s: %s\n' "$name" "$*" >&2; }

readonly flags=(-trimpath -ldflags '-s -w') # without symbols the linker needs less memory, and the file less disk

cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/sallyport
fingerprint=$({ go env GOVERSION GOOS GOARCH && printf '%s\n' "${flags[*]}" && cat go.mod go.sum && find . -maxdepth 1 -name '*.go' -exec cat {} +; } | sha256sum)
program=$cache/$name-${fingerprint:0:16}

if [[ ! -x $program ]]; then
	mkdir -p "$cache"
	exec 9>"$cache/$name.lock"
	if ! flock -n 9; then
		say "another run is building it; waiting"
		flock 9
	fi
	if [[ ! -x $program ]]; then
		say "building it, once, into $program; this may take some minutes"
		# Renamed when it is whole: a killed build leaves no program that looks like one.
		trap 'rm -f "$program.part"' EXIT
		trap 'exit 129' HUP
		trap 'exit 130' INT
		trap 'exit 143' TERM
		begin=$SECONDS
		go build "${flags[@]}" -o "$program.part" "$package"
		mv "$program.part" "$program"
		say "built in $((SECONDS - begin)) s"
	fi
fi
printf '%s\n' "$program"
