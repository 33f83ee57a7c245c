#!/bin/sh
# Passwords of compose.yml and compose.scale.yml, made by chance; what is there already stays.
set -eu
cd "$(dirname "$0")"
umask 022
mkdir -p secrets
chmod 700 secrets # the files can be read by the users of the containers, the folder by nobody else

new() { [ -s "secrets/$1" ] || od -An -N24 -tx1 /dev/urandom | tr -d ' \n' > "secrets/$1"; }

new orthanc_password
new postgres_password
[ -s secrets/mask2seg_database ] ||
    printf 'postgresql://orthanc:%s@postgres:5432/mask2seg\n' "$(cat secrets/postgres_password)" > secrets/mask2seg_database
echo "$(pwd)/secrets"
