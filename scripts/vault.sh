#!/usr/bin/env bash
# Prints the path of a real HashiCorp Vault for the tests and the demo, and builds it first if it is not there yet: some
# 6 minutes of processor time (190 s on 2 busy cores). Vault is under the Business Source License: a test tool, never
# linked into the product or shipped with it.
set -euo pipefail
exec "$(dirname -- "${BASH_SOURCE[0]}")/peer.sh" vault .
