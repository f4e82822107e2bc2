#!/bin/sh
# Creates the secrets that compose.yaml reads, each 32 random bytes in URL-safe base64. Existing ones are kept.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
# The directory is private. The files are world-readable: each container reads them as a user unknown to the host.
chmod 700 secrets
for name in postgres_password relay_secret_key relay_admin_key relay_webhook_token grafana_admin_password; do
  [ ! -s "secrets/$name" ] || continue
  head -c 32 /dev/urandom | base64 | tr '+/' '-_' > "secrets/$name.new"
  chmod 444 "secrets/$name.new"
  mv -f "secrets/$name.new" "secrets/$name"
  echo "created deploy/secrets/$name"
done
