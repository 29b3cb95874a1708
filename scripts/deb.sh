#!/usr/bin/env bash
# Builds the Debian package of sally-host into a folder (bin/deb unless it is named) and prints its path. Of one commit,
# from a clean checkout and with one release of Go, it is the same file, byte for byte, whoever builds it: times are the
# commit's, names and modes are said here.
#
#   VERSION            the package's; else what git describes, v1.2.3 being 1.2.3
#   SOURCE_DATE_EPOCH  the time of all files, in seconds; else the commit's
#   GOARCH             for which machine; else this one's
set -euo pipefail
umask 022
export LC_ALL=C TZ=UTC
into=$(realpath -m -- "${1:-"$(dirname -- "${BASH_SOURCE[0]}")/../bin/deb"}")
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

die() {
	printf 'deb: %s\n' "$*" >&2
	exit 1
}

# described is a version that sorts: releases by their tags, what comes before the first by its time.
described() {
	local text
	if text=$(git describe --tags --match 'v[0-9]*' 2>/dev/null); then
		text=${text#v}
		[[ $text =~ ^(.*)-([0-9]+)-(g[0-9a-f]+)$ ]] && text="${BASH_REMATCH[1]}+${BASH_REMATCH[2]}.${BASH_REMATCH[3]}"
		printf '%s\n' "${text//-/\~}" # v1.0.0-rc.1 comes before v1.0.0
	else
		printf '0~%s.%s\n' "$(TZ=UTC git log -1 --format=%cd --date=format-local:%Y%m%d%H%M%S)" "$(git rev-parse --short=12 HEAD)"
	fi
}

if [[ -z ${VERSION-} ]]; then
	VERSION=$(described) || die 'this is no checkout of git; say VERSION'
fi
[[ $VERSION =~ ^[0-9][A-Za-z0-9.+~]*$ ]] || die "VERSION '$VERSION' is none of a Debian package: a digit, then letters, digits and .+~"
if [[ -z ${SOURCE_DATE_EPOCH-} ]]; then
	SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) || die 'this is no checkout of git; say SOURCE_DATE_EPOCH'
fi
export SOURCE_DATE_EPOCH

goarch=${GOARCH:-$(go env GOARCH)}
case $goarch in
386) architecture=i386 ;;
arm) architecture=armhf ;;
ppc64le) architecture=ppc64el ;;
amd64 | arm64 | riscv64 | s390x | loong64) architecture=$goarch ;;
*) die "Debian has no machines of GOARCH $goarch" ;;
esac

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 0755 "$tree"

CGO_ENABLED=0 GOOS=linux GOARCH=$goarch go build -trimpath -ldflags '-s -w' -o "$tree/usr/bin/sally-host" ./cmd/sally-host
install -D -m 0644 -t "$tree/usr/lib/systemd/system" deploy/systemd/sally-host.service
install -D -m 0644 deploy/debian/default "$tree/etc/default/sally-host"
install -D -m 0644 deploy/debian/lintian-overrides "$tree/usr/share/lintian/overrides/sally-host"
install -D -m 0644 -t "$tree/usr/share/man/man1" docs/man/sally-host.1 docs/man/sally-host-*.1
doc=$tree/usr/share/doc/sally-host
install -D -m 0644 deploy/debian/copyright "$doc/copyright"
install -m 0644 -t "$doc" docs/hosts.md
cat >"$doc/changelog" <<CHANGELOG
sally-host ($VERSION) unstable; urgency=medium

  * Built from Sallyport's source; CHANGELOG.md there says what is new.

 -- Sallyport <sallyport@users.noreply.github.com>  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
CHANGELOG
gzip -9n "$tree"/usr/share/man/man1/* "$doc/changelog"

mkdir "$tree/DEBIAN"
kib=$(find "$tree" -mindepth 1 -not -path "$tree/DEBIAN*" -printf '%y %s\n' | awk '{ n += $1 == "f" ? int(($2 + 1023) / 1024) : 1 } END { print n }')
sed -e "s/@VERSION@/$VERSION/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@KIB@/$kib/" deploy/debian/control >"$tree/DEBIAN/control"
install -m 0644 -t "$tree/DEBIAN" deploy/debian/conffiles
for script in postinst prerm postrm; do
	sed -e '/^@IN_FORCE@$/ { r deploy/debian/in-force.sh' -e 'd }' "deploy/debian/$script" >"$tree/DEBIAN/$script"
	chmod 0755 "$tree/DEBIAN/$script"
done
(cd "$tree" && find usr etc -type f -print0 | sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
find "$tree" -type d -exec chmod 0755 {} +
find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

mkdir -p "$into"
package=$into/sally-host_${VERSION}_$architecture.deb
# One thread: how xz cuts its blocks must not depend on the machine.
DPKG_DEB_THREADS_MAX=1 dpkg-deb --root-owner-group -Zxz -b "$tree" "$package" >&2
printf '%s\n' "$package"
