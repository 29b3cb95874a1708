#!/usr/bin/env bash
# Writes anew what is made from the code and checked in: docs/openapi.json, docs/config.md, docs/man, the lists in
# docs/promises.md. With --check it writes nothing, and fails if one of them is stale.
#
# Each of them is made by a test named TestGenerated…, so that `make test` finds a stale one, too.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

flags=(-update)
if [[ ${1-} == --check ]]; then flags=(); fi

go test -count=1 -run '^Test(Generated|PromisesDocument$)' . ./server ./cmd/sally ./cmd/sally-host ./cmd/sallyd "${flags[@]}"
