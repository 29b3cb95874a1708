#!/usr/bin/env bash
# Runs each fuzz target of the module for FUZZTIME (default 30s), goes on after a failing one, and exits 1 if any
# failed. FUZZ, a pattern of grep -E, chooses some of them by package folder and name: FUZZ='ledger/.*Leaf'
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

fuzztime=${FUZZTIME:-30s}
choose=${FUZZ:-.}

# Lines of "folder target", from the test files themselves: listing them with go would link every test binary.
targets=$(
	find . \( -name '.?*' -o -name testdata -o -path ./tools -o -path ./bin \) -prune -o -name '*_test.go' -print |
		LC_ALL=C sort |
		while IFS= read -r file; do
			sed -n "s|^func \(Fuzz[A-Za-z0-9_]*\)(.*|${file%/*}/ \1|p" "$file"
		done |
		{ grep -E -- "$choose" || true; }
)
if [[ -z $targets ]]; then
	printf 'fuzz: no fuzz target matches %q\n' "$choose" >&2
	exit 1
fi

ran=0 failed=()
while read -r folder target; do
	printf '== %s%s for %s\n' "$folder" "$target" "$fuzztime"
	ran=$((ran + 1))
	if ! go test -run='^$' -fuzz="^$target\$" -fuzztime="$fuzztime" -fuzzminimizetime=10x "$folder" </dev/null; then
		failed+=("$folder$target")
	fi
done <<<"$targets"

printf 'fuzz: %d targets, %d failed\n' "$ran" "${#failed[@]}"
if ((${#failed[@]} > 0)); then
	printf 'fuzz: commit the input that go test has written below testdata/fuzz with the fix: %s\n' "${failed[@]}" >&2
	exit 1
fi
