#!/usr/bin/env bash
# Fails when what is checked in is not what the tools would make of it: module files, formatting, generated files,
# planted faults.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

status=0
check() { # NAME COMMAND... ; a check is good when it exits 0 and prints nothing on stdout
	local name=$1 out rc=0
	shift
	out=$("$@") || rc=$?
	if ((rc == 0)) && [[ -z $out ]]; then
		printf 'ok    %s\n' "$name"
	else
		printf 'FAIL  %s\n%s\n' "$name" "$out"
		status=1
	fi
}
quiet() { "$@" >/dev/null; }
fresh() { # go test says "ok" where a check says nothing
	local out
	out=$(scripts/generate.sh --check) || {
		printf '%s\n' "$out"
		return 1
	}
}

check 'modules are what go.sum says' quiet go mod verify
check 'go.mod is tidy' go mod tidy -diff
check 'tools: modules are what go.sum says' quiet go -C tools mod verify
check 'tools: go.mod is tidy' go -C tools mod tidy -diff
check 'gofumpt' go tool -modfile=tools/go.mod gofumpt -l .
check 'imports are grouped' go tool -modfile=tools/go.mod golangci-lint fmt --diff
check 'generated files are fresh' fresh
check 'planted faults apply' quiet go -C tools run ./sabotage -root .. -check
exit "$status"
