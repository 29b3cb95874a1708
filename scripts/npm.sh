#!/usr/bin/env bash
# Installs what the lab has from npm (a second identity provider, a linter of OpenAPI documents, what finds barriers in pages), for the tests: exactly
# the versions and digests of each internal/lab/NAME/package-lock.json, without running any script of a package, into the
# user's cache and not into the tree. What is there already is left alone.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

cache=${XDG_CACHE_HOME:-$HOME/.cache}/sallyport

for lock in internal/lab/*/package-lock.json; do
	from=${lock%/*}
	sum=$(sha256sum "$lock")
	into=$cache/${from##*/}-${sum:0:16}
	[[ ! -e $into/node_modules/.complete ]] || continue

	mkdir -p "$cache"
	exec 9>"$cache/npm.lock" # one run at a time
	flock 9
	[[ ! -e $into/node_modules/.complete ]] || continue

	rm -rf "$into"
	mkdir "$into"
	cp "$lock" "$from/package.json" "$into"
	if ! (cd "$into" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null >&2); then
		rm -rf "$into"
		printf 'npm: the packages of %s could not be installed (see above); the tests need them once, then they are kept in %s\n' "$from" "$cache" >&2
		exit 1
	fi
	touch "$into/node_modules/.complete"
done
