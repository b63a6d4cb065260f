#!/usr/bin/env bash
# Makes the Debian packages tokenward and tokenward-agent of programs that are built already, and a package with the debug
# symbols of each.
#
#   packaging/build-debian.sh PROGRAMS OUT      PROGRAMS: folder with tokenward and tokenward-agent; OUT: where packages go
#
# TOKENWARD_DEB_COMPRESSION is for tests: -Zgzip -z1 is quicker than Debian's default.
set -euo pipefail
programs=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
cd "$(dirname "$0")/.."

for program in dh dpkg-buildpackage; do
    command -v "$program" >/dev/null || {
        echo "$program is missing: xtask/setup.sh package installs it" >&2
        exit 1
    }
done

# debhelper works in a folder of its own and leaves the packages beside it.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tokenward
mkdir -p "$tree/bin"
cp -r packaging/debian "$tree/debian"
cp -r packaging/monitoring "$tree/monitoring"
cp "$programs/tokenward" "$programs/tokenward-agent" "$tree/bin/"

# The version is the workspace's, the date that of the last commit: the same commit makes the same package.
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
date=$(git log -1 --format=%cD 2>/dev/null || date -R)
maintainer=$(sed -n 's/^Maintainer: //p' packaging/debian/control)
cat >"$tree/debian/changelog" <<END
tokenward ($version) unstable; urgency=medium

  * CHANGELOG.md of the project says what changed.

 -- $maintainer  $date
END
{
    echo
    echo 'override_dh_builddeb:'
    printf '\tdh_builddeb -- %s\n' "${TOKENWARD_DEB_COMPRESSION:-}"
} >>"$tree/debian/rules"

if ! (cd "$tree" && dpkg-buildpackage --build=binary --unsigned-source --unsigned-changes) >"$work/log" 2>&1; then
    cat "$work/log" >&2
    exit 1
fi
# The .changes file names the .buildinfo file, and lintian reads neither without the other.
cp "$work"/*.deb "$work"/*.changes "$work"/*.buildinfo "$out/"
