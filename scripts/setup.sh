#!/usr/bin/env bash
# Installs what is missing to build microview, and says what and why. Run it as often as you like.
#   scripts/setup.sh               what `make build` needs
#   scripts/setup.sh --with-tests  also what `make test` needs
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

BUN_VERSION=1.4.5
BUN_HOME=.cache/bun
# Other people's bun comes after our own, should there be one.
export PATH="$PWD/$BUN_HOME/node_modules/.bin:$PATH"

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$1" >&2; [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

with_tests=false
for argument in "$@"; do
  case "$argument" in
    --with-tests) with_tests=true ;;
    *) die "unknown flag $argument" "the only flag is --with-tests" ;;
  esac
done

bun_matches() { [ "$(bun --version 2>/dev/null)" = "$BUN_VERSION" ]; }

ensure_bun() {
  bun_matches && return
  have npm || die "neither bun $BUN_VERSION nor npm is here" \
    "install npm (apt-get install npm), or bun $BUN_VERSION from https://bun.sh"
  say "installing bun $BUN_VERSION into $BUN_HOME with npm: it runs, tests and compiles microview"
  npm install --prefix "$BUN_HOME" --no-save --no-audit --no-fund --loglevel=error "bun@$BUN_VERSION"
  hash -r
  # npm may have refused the package's install script, which fetches the program itself.
  if ! bun_matches; then
    (cd "$BUN_HOME/node_modules/bun" && node install.js)
    hash -r
  fi
  bun_matches || die "bun $BUN_VERSION does not run after its installation" \
    "remove $BUN_HOME and try again"
}

ensure_packages() {
  # --frozen-lockfile: exactly what bun.lock says, or an error.
  [ node_modules/.stamp -nt bun.lock ] && [ node_modules/.stamp -nt package.json ] && return
  say "installing the packages of bun.lock into node_modules"
  bun install --frozen-lockfile
  touch node_modules/.stamp
}

# missing[package]=why, filled by `need`, installed in one go.
declare -A missing=()
need() { missing["$1"]="$2"; }

# Installed to be run by tests, as their own children: the service that a package brings would take its usual port.
idle() {
  local unit="/etc/systemd/system/$1.service"
  [ -e "$unit" ] || [ -L "$unit" ] || ! [ -d /etc/systemd/system ] || as_root ln -s /dev/null "$unit" || true
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

install_missing() {
  [ "${#missing[@]}" -gt 0 ] || return 0
  local package
  for package in "${!missing[@]}"; do say "missing $package: ${missing[$package]}"; done
  have apt-get || die "cannot install ${!missing[*]}: no apt-get here" \
    "install their equivalents with this system's package manager"
  [ "$(id -u)" -eq 0 ] || have sudo || die "cannot install ${!missing[*]}: not root, and no sudo" \
    "run as root: apt-get install ${!missing[*]}"
  say "installing with apt: ${!missing[*]}"
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends)
  # The package lists are fetched only when the ones here do not do.
  if ! as_root "${install[@]}" "${!missing[@]}" >/dev/null 2>&1; then
    as_root apt-get update -qq
    as_root "${install[@]}" "${!missing[@]}" >/dev/null \
      || die "apt could not install ${!missing[*]}" "the messages above say why"
  fi
}

ensure_bun
have gcc || need gcc "compiles the native shim, c/shim.c"
[ -e /usr/include/stdio.h ] || need libc6-dev "the C headers that the shim includes"
[ -e /usr/include/infiniband/verbs.h ] \
  || need libibverbs-dev "the RDMA headers that c/verbs.c includes; the library itself is looked for at run time"
[ -e /usr/include/rdma/rdma_cma.h ] \
  || need librdmacm-dev "the headers of RDMA's connection manager that c/rdma_cm.c includes, likewise"
if $with_tests; then
  have openssl || need openssl "makes the certificates of the TLS tests"
  have python3 || need python3 "the test of the prototype's Python client"
  { python3 -c "import prometheus_client" || /usr/bin/python3 -c "import prometheus_client"; } 2>/dev/null \
    || need python3-prometheus-client "reads OpenMetrics strictly in the tests"
  have prometheus || { need prometheus "scrapes and receives in the tests; its promtool checks texts"; idle prometheus; }
  have victoria-metrics \
    || { need victoria-metrics "receives what the tests of remote write send"; idle victoria-metrics; }
fi
install_missing
ensure_packages
