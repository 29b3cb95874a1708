#!/usr/bin/env bash
# Installs what is missing, builds the Vault that the tests run against (once; it takes minutes), vets, runs every test of
# both modules (the product's and the tools') and ends with the line "N passed, N failed, N skipped". Exits non-zero on a
# failure, on a skipped test and when no test ran.
#
# Arguments are handed to go test, before the packages: scripts/test.sh -race
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

scripts/deps.sh
scripts/npm.sh
SALLYPORT_VAULT=$(scripts/vault.sh)
export SALLYPORT_VAULT
go vet ./...
go -C tools vet ./...

# A binary, since `go run` would put a line of its own behind the last one.
go -C tools build -o ../bin/tools/testreport ./testreport
exec bin/tools/testreport -in . -in tools -- -count=1 -shuffle=on "$@" ./...
