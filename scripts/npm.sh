#!/usr/bin/env bash
# Installs the lab's second identity provider (npm oidc-provider) for the tests: exactly the versions and digests of
# internal/lab/panva/package-lock.json, without running any script of a package, into the user's cache and not into
# the tree. When it is there already, this does nothing.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

lock=internal/lab/panva/package-lock.json
sum=$(sha256sum "$lock")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sallyport
into=$cache/panva-${sum:0:16}
[[ ! -e $into/node_modules/.complete ]] || exit 0

mkdir -p "$cache"
exec 9>"$cache/npm.lock" # one run at a time
flock 9
[[ ! -e $into/node_modules/.complete ]] || exit 0

rm -rf "$into"
mkdir "$into"
cp "$lock" internal/lab/panva/package.json "$into"
if ! (cd "$into" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null >&2); then
	rm -rf "$into"
	printf 'npm: the second identity provider could not be installed (see above); the tests need it once, then it is kept in %s\n' "$cache" >&2
	exit 1
fi
touch "$into/node_modules/.complete"
