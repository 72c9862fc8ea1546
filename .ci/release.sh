#!/usr/bin/env bash
# What a release is made of, in dist/. The same commit gives the same bytes on every machine with
# the same Go: times are those of the commit, and names stand in one order.
#
#	.ci/release.sh v0.1.0
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:?the version, such as v0.1.0}
[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$ ]] ||
	{ echo "$version is no version of a release: tag the commit, or make release VERSION=v0.1.0" >&2; exit 1; }
chart=$(sed -n 's/^appVersion: //p' deploy/helm/hookspan/Chart.yaml)
[ "$chart" = "${version#v}" ] || { echo "deploy/helm/hookspan/Chart.yaml has appVersion $chart: make it ${version#v}" >&2; exit 1; }
grep -q "^## \[${version#v}\]" CHANGELOG.md || { echo "CHANGELOG.md has no section [${version#v}]" >&2; exit 1; }

export SOURCE_DATE_EPOCH CGO_ENABLED=0 GOFLAGS=-trimpath LC_ALL=C TZ=UTC
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
umask 022
rm -rf dist
mkdir dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pack() { # archive, folder, its content
	tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=gnu --mode=u+rw,go+r-w --dereference -C "$2" -cf - "$3" | gzip -9n >"$1"
}

build() { go build -buildvcs=false -ldflags "-s -w -buildid= -X main.release=$version" -o "$1" ./cmd/hookspan; }
# The pages and scripts come from a binary that runs here.
GOOS='' GOARCH='' build "$work/here"
stage=$work/stage
mkdir "$stage"
"$work/here" man | gzip -9n >"$stage/hookspan.1.gz"
for shell in bash zsh fish; do "$work/here" completion $shell >"$stage/completion.$shell"; done
cp LICENSE README.md CHANGELOG.md deploy/hookspan.socket deploy/hookspan.yaml deploy/package/*.sh "$stage"
sed 's#/usr/local/bin/#/usr/bin/#' deploy/hookspan.service >"$stage/hookspan.service"

for target in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64; do
	export GOOS=${target%/*} GOARCH=${target#*/}
	name=hookspan_${version#v}_${GOOS}_$GOARCH
	build "$stage/hookspan"
	mkdir "$work/$name"
	cp "$stage"/{hookspan,hookspan.1.gz,completion.*,LICENSE,README.md,CHANGELOG.md} "$work/$name"
	if [ "$GOOS" = linux ]; then
		cp deploy/hookspan.{service,socket,yaml} "$work/$name"
		for packager in deb rpm; do
			sed "s#\${ARCH}#$GOARCH#; s#\${VERSION}#$version#; s#\${STAGE}#$stage#; s#\${MTIME}#$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)#" deploy/package/nfpm.yaml >"$work/nfpm.yaml"
			bin/nfpm package --config "$work/nfpm.yaml" --packager $packager --target "dist/$name.$packager" >/dev/null
		done
	fi
	pack "dist/$name.tar.gz" "$work" "$name"
	bin/cyclonedx-gomod bin -json -std -licenses -noserial -notimestamp -version "$version" -output "dist/$name.cdx.json" "$stage/hookspan" 2>"$work/said" || { cat "$work/said" >&2; exit 1; }
done
pack "dist/hookspan-chart_${version#v}.tgz" deploy/helm hookspan
(cd dist && sha256sum ./* | sed 's#\./##' >SHA256SUMS)
cat dist/SHA256SUMS
