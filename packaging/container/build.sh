#!/usr/bin/env bash
# Makes a container image of a tokenward that is built already, with buildah: no daemon, no base image, no registry. The
# root file system holds the program, the C library of this Debian release and the authorities of its ca-certificates.
#
#   packaging/container/build.sh PROGRAM ARCHIVE      ARCHIVE: a file to make, for `podman load` and `docker load`
#
# Run it as root, or without root inside `buildah unshare`. TOKENWARD_ROOT=FOLDER makes only the root file system, in that folder.
set -euo pipefail
program=$(realpath "$1")
archive=$(realpath -m "${2:-tokenward-image.tar}")
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=${TOKENWARD_ROOT:-$work/root}

mkdir -p "$root" "$work/debs"
(cd "$work/debs" && chmod 755 "$work" && apt-get download -q libc6 libgcc-s1 ca-certificates >/dev/null)
for package in "$work"/debs/*.deb; do
    dpkg-deb --extract "$package" "$work/extracted"
done
# What the program and the resolver load; no shell and no package manager.
library=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
mkdir -p "$root/usr/bin" "$root/lib/$library" "$root/lib64" "$root/etc/ssl/certs" "$root/var/lib/tokenward" "$root/tmp" "$root/run/tokenward" "$root"/{proc,sys,dev}
for name in libc.so.6 libm.so.6 libgcc_s.so.1 libresolv.so.2 libnss_dns.so.2 libnss_files.so.2 libpthread.so.0 libdl.so.2; do
    cp -L "$work/extracted/lib/$library/$name" "$root/lib/$library/"
done
loader=$(cd "$work/extracted/lib/$library" && echo ld-linux-*.so.*)
cp -L "$work/extracted/lib/$library/$loader" "$root/lib/$library/"
# Where the program looks for its loader on this architecture.
wanted=$(readelf --program-headers "$program" | sed -n 's/.*interpreter: \(.*\)\]/\1/p')
mkdir -p "$root$(dirname "$wanted")"
[ -e "$root$wanted" ] || cp "$root/lib/$library/$loader" "$root$wanted"
cat "$work"/extracted/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
printf 'tokenward:x:65532:65532::/var/lib/tokenward:/\n' >"$root/etc/passwd"
printf 'tokenward:x:65532:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
strip --output-file="$root/usr/bin/tokenward" "$program"
chmod 755 "$root/usr/bin/tokenward"
mkdir -p "$root/usr/share/doc/tokenward"
cp LICENSE "$root/usr/share/doc/tokenward/"
chown -R 65532:65532 "$root/var/lib/tokenward" "$root/run/tokenward"
chmod 700 "$root/var/lib/tokenward"
chmod 1777 "$root/tmp"
du -sh "$root" | sed 's/\t.*/ root file system/'
[ -z "${TOKENWARD_ROOT:-}" ] || exit 0

version=$("$program" --version | cut -d ' ' -f 2)
# The format in which a health check is kept.
container=$(buildah from --format docker scratch)
# With owners and modes as they are, which `buildah copy` changes.
cp -a "$root/." "$(buildah mount "$container")/"
buildah umount "$container" >/dev/null
buildah config \
    --user 65532:65532 \
    --env TOKENWARD_DATA_DIR=/var/lib/tokenward \
    --env TOKENWARD_PUBLIC=0.0.0.0:8080 \
    --env TOKENWARD_INTERNAL=0.0.0.0:8081 \
    --env TOKENWARD_LOG_FORMAT=json \
    --volume /var/lib/tokenward \
    --port 8080 --port 8081 \
    --entrypoint '["/usr/bin/tokenward"]' --cmd serve \
    --healthcheck 'CMD /usr/bin/tokenward health' --healthcheck-interval 10s --healthcheck-start-period 60s \
    --stop-signal SIGTERM \
    --label org.opencontainers.image.title=tokenward \
    --label org.opencontainers.image.version="$version" \
    --label org.opencontainers.image.licenses=Apache-2.0 \
    "$container"
buildah commit --quiet --rm --format docker "$container" "tokenward:$version" >/dev/null
rm -f "$archive"
buildah push --quiet "tokenward:$version" "docker-archive:$archive:tokenward:$version"
echo "$archive"
