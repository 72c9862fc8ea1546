#!/bin/sh
# Data in /var/lib/hookspan and secrets in /etc/hookspan stay.
set -e
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
