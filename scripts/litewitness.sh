#!/usr/bin/env bash
# Prints the path of litewitness, an independent witness for the tests (C2SP tlog-witness), and builds it first if it is
# not there yet.
set -euo pipefail
exec "$(dirname -- "${BASH_SOURCE[0]}")/peer.sh" litewitness filippo.io/torchwood/cmd/litewitness
