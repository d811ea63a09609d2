#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A management application as a shell script: starts a migration, asks for its progress, and takes the end.
#   supervise.sh VM DESTINATION-URI [OPTION-OF-VMMI-RUN]...
set -eu
vm=$1 destination=$2
shift 2

id=$(vmmi run --background "$@" "$vm" "$destination")
# It goes on whatever becomes of this script; `vmmi list` shows it.
while vmmi list --json | grep -q "\"id\": \"$id\".*\"running\": true"; do
    vmmi status "$id" || true  # it may have ended since
    sleep 1
done
exec vmmi attach "$id"
