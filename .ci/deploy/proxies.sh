#!/usr/bin/env bash
# A real bridge behind nginx and behind Caddy, configured as deploy/proxy says, on other ports.
# Of Traefik, which Debian does not have, the file is only parsed. It needs nginx and caddy.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v nginx >/dev/null && command -v caddy >/dev/null || { echo "install nginx-light and caddy" >&2; exit 1; }
hookspan=$PWD/bin/hookspan
work=$(mktemp -d)
pids=()
end() {
	[ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$work"
}
trap end EXIT
chmod 755 "$work"
free() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
until_it() { for _ in $(seq 100); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; echo "never: $*" >&2; exit 1; }
python3 -c 'import sys, yaml; yaml.safe_load(open("deploy/proxy/traefik.yaml"))'

webhooks=$(free) admin=$(free) tls=$(free)
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=hooks.example.com -addext 'subjectAltName=DNS:hooks.example.com,DNS:ops.example.com' \
	-keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
cat >"$work/hookspan.yaml" <<END
data_dir: $work/data
ingress: {listen: "127.0.0.1:$webhooks", trusted_proxies: [127.0.0.1/32]}
admin: {listen: "127.0.0.1:$admin", hosts: [ops.example.com], tokens: [{name: t, scopes: [read, act], secret: env:HOOKSPAN_TOKEN}]}
nats: {listen: ""}
consumers: {archive: {enabled: false}}
END
export HOOKSPAN_TOKEN=token-of-thirty-two-bytes-or-more GET3W_WEBHOOK_SECRET=secret-of-the-proxies
"$hookspan" serve --config "$work/hookspan.yaml" >"$work/log" 2>&1 &
pids+=($!)
until_it "$hookspan" health --api "http://127.0.0.1:$admin"

# tries NAME: webhooks and the API by the proxy at the port $tls.
tries() {
	local said
	until_it curl -sk --resolve "hooks.example.com:$tls:127.0.0.1" "https://hooks.example.com:$tls/"
	for _ in 1 2; do
		said=$("$hookspan" send --url "https://127.0.0.1:$tls/webhooks/get3w" --ca "$work/cert.pem" --tls-name hooks.example.com 2>&1) || { echo "$said"; exit 1; }
		grep -q '"result":"stored"' <<<"$said" || { echo "$1: $said"; exit 1; }
	done
	head -c 5000000 /dev/zero | tr '\0' x >"$work/large"
	said=$(curl -sk -o /dev/null -w '%{http_code}' --resolve "hooks.example.com:$tls:127.0.0.1" -H 'Expect:' --data-binary "@$work/large" "https://hooks.example.com:$tls/webhooks/get3w" || true)
	[ "$said" = 413 ] || { echo "$1: a large body is answered $said"; exit 1; }
	[ "$(curl -sk -o /dev/null -w '%{http_code}' --resolve "hooks.example.com:$tls:127.0.0.1" "https://hooks.example.com:$tls/api/v1/status")" = 404 ] || { echo "$1: the API is public"; exit 1; }
	# A live stream tells at once: its first line is there long before the stream ends.
	said=$(timeout 5 curl -skN --resolve "ops.example.com:$tls:127.0.0.1" -H "Authorization: Bearer $HOOKSPAN_TOKEN" "https://ops.example.com:$tls/api/v1/events/live" || true)
	grep -q '^id:\|^retry:\|^:' <<<"$said" || { echo "$1: a live stream is held back: $said"; exit 1; }
	echo "$1: webhooks are stored, a large body is 413, the API is apart, live streams are not held back"
}

sed "s#listen 443 ssl#listen 127.0.0.1:$tls ssl#; s#/etc/ssl/[a-z.]*\.pem#$work/cert.pem#; s#/etc/ssl/[a-z.]*\.key#$work/key.pem#; s#127.0.0.1:8080#127.0.0.1:$webhooks#; s#127.0.0.1:8081#127.0.0.1:$admin#" deploy/proxy/nginx.conf >"$work/hookspan.conf"
cat >"$work/nginx.conf" <<END
daemon off; pid $work/nginx.pid; error_log $work/nginx.log;
events {}
http { access_log off; client_body_temp_path $work/b; proxy_temp_path $work/p; fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s; include $work/hookspan.conf; }
END
nginx -q -t -c "$work/nginx.conf"
nginx -c "$work/nginx.conf" &
proxy=$!
pids+=("$proxy")
tries nginx
kill "$proxy"
wait "$proxy" || true

tls=$(free)
sed "s#^hooks\.example\.com {#https://hooks.example.com:$tls, https://127.0.0.1:$tls {#; s#^ops\.example\.com {#https://ops.example.com:$tls {#; s#^https://.*{#&\n\tbind 127.0.0.1\n\ttls $work/cert.pem $work/key.pem#; s#127.0.0.1:8080#127.0.0.1:$webhooks#; s#127.0.0.1:8081#127.0.0.1:$admin#" deploy/proxy/Caddyfile >"$work/body"
{ printf '{\n\tadmin off\n\tauto_https disable_redirects\n}\n'; cat "$work/body"; } >"$work/Caddyfile"
export XDG_DATA_HOME=$work/caddy XDG_CONFIG_HOME=$work/caddy
caddy validate --adapter caddyfile --config "$work/Caddyfile" >"$work/said" 2>&1 || { cat "$work/said"; exit 1; }
caddy validate --adapter caddyfile --config deploy/proxy/Caddyfile >"$work/said" 2>&1 || { cat "$work/said"; exit 1; }
caddy run --adapter caddyfile --config "$work/Caddyfile" >"$work/caddy.log" 2>&1 &
pids+=($!)
tries Caddy
