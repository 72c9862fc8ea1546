#!/usr/bin/env bash
# The chart in its variants, as the schemas of Kubernetes, the Prometheus Operator and KEDA judge it.
set -euo pipefail
cd "$(dirname "$0")/../.."
chart=deploy/helm/hookspan
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
crds=$work/crds
mkdir "$crds"
folder() { (cd "$work" && go mod download -json "$1" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'); }
operator=$(folder github.com/prometheus-operator/prometheus-operator@v0.82.0)/example/prometheus-operator-crd
keda=$(folder github.com/kedacore/keda/v2@v2.17.0)/config/crd/bases
cp "$operator"/monitoring.coreos.com_{podmonitors,prometheusrules}.yaml "$keda"/keda.sh_scaledobjects.yaml "$crds"
helm() { bin/helm "$@" 2> >(grep -v 'found symbolic link' >&2); }

for variant in .ci/deploy/variants/*.yaml; do
	name=$(basename "$variant" .yaml)
	helm lint --quiet --strict --kube-version 1.30.0 "$chart" -f "$variant"
	helm template hooks "$chart" --namespace hooks --kube-version 1.30.0 -f "$variant" >"$work/$name.yaml"
	for version in 1.27 1.30; do
		bin/kubectl-validate --version "$version" --local-crds "$crds" "$work/$name.yaml" >"$work/said" 2>&1 || { cat "$work/said"; exit 1; }
	done
	echo "$name: $(grep -c '^kind:' "$work/$name.yaml") objects are valid"
	# The configuration that a pod mounts is one that hookspan takes.
	python3 -c 'import sys, yaml
for o in yaml.safe_load_all(open(sys.argv[1])):
    if o and o["kind"] == "ConfigMap" and "hookspan.yaml" in o["data"]:
        print(o["data"]["hookspan.yaml"])' "$work/$name.yaml" >"$work/config.yaml"
	sed -i "s#/data/#$work/data/#; s#/etc/tls/tls.crt#$work/tls.crt#; s#/etc/tls/tls.key#$work/tls.key#; s#/etc/nats/hookspan.creds#$work/creds#" "$work/config.yaml"
	[ -e "$work/tls.key" ] || openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$work/tls.key" -out "$work/tls.crt" 2>/dev/null
	if ! said=$(HOOKSPAN_TOKEN=token-of-thirty-two-bytes-or-more GET3W_WEBHOOK_SECRET=s BILLING_SECRET=secret-of-billing-of-32-bytes-xx \
		bin/hookspan config check --no-secrets "$work/config.yaml" 2>&1); then echo "$said"; exit 1; fi
done

# What is missing is said in words.
refuses() { # words, values…
	local words=$1
	shift
	if said=$(helm template hooks "$chart" --kube-version 1.30.0 "$@" 2>&1); then
		echo "no error: $*"
		exit 1
	fi
	grep -q "$words" <<<"$said" || { echo "not '$words' but: $said"; exit 1; }
}
refuses 'existingSecret is empty: name the secret'
refuses 'archive needs a place that every pod reaches' --set existingSecret=s,config.nats.url=nats://n:4222
refuses 'ingress.host is empty' --set existingSecret=s,ingress.enabled=true
refuses 'replicaz' --set existingSecret=s,roles.ingress.replicaz=3
refuses 'keda.account is empty' -f .ci/deploy/variants/keda.yaml --set keda.account=
echo "what is missing is said in words"
