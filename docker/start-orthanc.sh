#!/bin/sh
# Orthanc reads no files of secrets: what it needs of them goes into its environment, written as its JSON wants it.
set -eu

in_json() { sed 's/[\\"]/\\&/g' "$1"; }

if [ -n "${ORTHANC_PASSWORD_FILE:-}" ]; then ORTHANC_PASSWORD=$(in_json "$ORTHANC_PASSWORD_FILE"); fi
if [ -z "${ORTHANC_PASSWORD:-}" ]; then
    echo "Others can reach this Orthanc, so it needs a password: set ORTHANC_PASSWORD_FILE (or ORTHANC_PASSWORD)." >&2
    exit 64
fi
if [ -n "${ORTHANC_POSTGRESQL_PASSWORD_FILE:-}" ]; then
    ORTHANC_POSTGRESQL_PASSWORD=$(in_json "$ORTHANC_POSTGRESQL_PASSWORD_FILE")
fi
ORTHANC_POSTGRESQL_PASSWORD=${ORTHANC_POSTGRESQL_PASSWORD:-}
export ORTHANC_PASSWORD ORTHANC_POSTGRESQL_PASSWORD
exec Orthanc /etc/orthanc/orthanc.json "$@"
