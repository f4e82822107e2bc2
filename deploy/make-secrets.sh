#!/bin/sh
# Makes the secrets that compose.yaml reads, each 32 random bytes in URL-safe base64. What is there is kept.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
# The folder is closed; the files are open, for each container reads its own as a user that this machine does not know.
chmod 700 secrets
for name in postgres_password relay_secret_key relay_admin_key relay_webhook_token grafana_admin_password; do
  [ ! -s "secrets/$name" ] || continue
  head -c 32 /dev/urandom | base64 | tr '+/' '-_' > "secrets/$name.new"
  chmod 444 "secrets/$name.new"
  mv -f "secrets/$name.new" "secrets/$name"
  echo "made deploy/secrets/$name"
done
