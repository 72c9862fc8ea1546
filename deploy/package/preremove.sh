#!/bin/sh
# An upgrade (deb: upgrade, rpm: 1) stops nothing here.
set -e
case "$1" in remove | 0) ;; *) exit 0 ;; esac
[ -d /run/systemd/system ] || exit 0
systemctl disable --now hookspan.socket hookspan.service
