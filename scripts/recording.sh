#!/usr/bin/env bash
# Records an engineer's session against real parts and makes the moving picture of it, docs/images/demo.svg.
# `make recording` calls it when the session should look new; tests don't.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

sum=$(sha256sum tools/recording/package-lock.json)
into=${XDG_CACHE_HOME:-$HOME/.cache}/sallyport/recording-${sum:0:16}
if [[ ! -e $into/node_modules/.complete ]]; then
	rm -rf "$into"
	mkdir -p "$into"
	cp tools/recording/package.json tools/recording/package-lock.json "$into"
	(cd "$into" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null >&2)
	touch "$into/node_modules/.complete"
fi

cast=$(mktemp)
trap 'rm -f "$cast"' EXIT
go run ./internal/lab/recording -bin bin >"$cast"
mkdir -p docs/images
"$into/node_modules/.bin/svg-term" --in "$cast" --out docs/images/demo.svg --window --no-cursor --width 104 --height 34
printf 'docs/images/demo.svg: %s bytes\n' "$(stat -c %s docs/images/demo.svg)"
