#!/usr/bin/env bash
# Installs what is missing, vets, runs every test of both modules (the product's and the tools') and ends with the line
# "N passed, N failed, N skipped". Exits non-zero on a failure, on a skipped test and when no test ran.
#
# Arguments are handed to go test, before the packages: scripts/test.sh -race
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

scripts/deps.sh
scripts/npm.sh
go vet ./...
go -C tools vet ./...

# A binary, since `go run` would put a line of its own behind the last one.
go -C tools build -o ../bin/tools/testreport ./testreport
exec bin/tools/testreport -in . -in tools -- -count=1 -shuffle=on "$@" ./...
