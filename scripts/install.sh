#!/usr/bin/env bash
# Installs what a make target needs, into the user's cache directory, and prints nothing when all is there.
#
#   scripts/install.sh CACHE packages   Debian packages (by apt-get, as root or with sudo)
#   scripts/install.sh CACHE sdk        the AWS SDKs that functions find beside their runtime
#   scripts/install.sh CACHE clients    the Python environment that the tests use
#   scripts/install.sh CACHE node-client  the official client for Node.js, which the benchmark is measured beside
#   scripts/install.sh CACHE cargo-deny the licence and source checker
#
# Each result is stamped by what it was made from, so a changed pin is installed anew and an old one is left alone.
set -euo pipefail

cache=$1 what=$2
root=$(cd "$(dirname "$0")/.." && pwd)
CARGO_DENY_VERSION=0.20.2

say() { printf '%s\n' "$*" >&2; }

# stamp FILE... : a short digest of the files' contents
stamp() { cat "$@" | sha256sum | cut -c1-12; }

# Makes a directory by a function and moves it into place whole, so that an interrupted install is not taken for one.
make_once() { # TARGET FUNCTION
  [ -e "$1" ] && return 0
  mkdir -p "$(dirname "$1")"
  local unfinished
  unfinished=$(mktemp -d "$1.XXXXXX")
  # Sandboxed code reads it under a uid of its own.
  chmod 755 "$unfinished"
  "$2" "$unfinished" || { rm -rf "$unfinished"; return 1; }
  mv -T "$unfinished" "$1" 2>/dev/null || rm -rf "$unfinished"
}

packages() {
  local missing=()
  command -v cc >/dev/null || missing+=(gcc)
  command -v node >/dev/null || missing+=(nodejs)
  command -v npm >/dev/null || missing+=(npm)
  command -v python3 >/dev/null || missing+=(python3)
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
  PATH=$PATH:/sbin:/usr/sbin command -v mkfs.ext4 >/dev/null || missing+=(e2fsprogs)
  command -v openssl >/dev/null || missing+=(openssl)
  install_packages "${missing[@]}"
}

install_packages() { # PACKAGE...
  local missing=("$@")
  [ ${#missing[@]} = 0 ] && return 0
  local install=(apt-get install -y -q --no-install-recommends "${missing[@]}")
  command -v apt-get >/dev/null || { say "These programs are missing; install them with your package manager: ${missing[*]}"; return 1; }
  if [ "$(id -u)" = 0 ]; then :; elif command -v sudo >/dev/null; then install=(sudo "${install[@]}"); else
    say "Some programs are missing. As root, run: ${install[*]}"; return 1
  fi
  say "installing ${missing[*]}"
  [ "$(id -u)" != 0 ] || apt-get update -q >/dev/null
  DEBIAN_FRONTEND=noninteractive "${install[@]}" >/dev/null
}

sdk_python() {
  command -v python3 >/dev/null || { say "Python is missing; run: apt-get install python3 python3-pip"; return 1; }
  python3 -m pip --version >/dev/null 2>&1 || { say "pip is missing; run: apt-get install python3-pip"; return 1; }
  say "installing the AWS SDK for Python functions"
  # A variable, because older versions of pip refuse an option that they do not know.
  PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$1" -r "$root/sdk/python/requirements.txt"
}

sdk_nodejs() {
  command -v npm >/dev/null || { say "npm is missing; run: apt-get install npm"; return 1; }
  say "installing the AWS SDK for Node.js functions"
  cp "$root"/sdk/nodejs/{package.json,package-lock.json,.npmrc} "$1/"
  (cd "$1" && npm ci --silent --ignore-scripts --no-audit --no-fund)
}

clients() {
  say "installing boto3, the aws cli and the official runtime client for the tests"
  # A virtual environment keeps absolute paths, so it is made where it stays.
  rm -rf "$1"
  # Sandboxes see the interpreters of /usr/bin, and the native part of the official client has to fit one of them.
  local python=/usr/bin/python3
  "$python" -c 'import ensurepip, venv' 2>/dev/null || python=python3
  "$python" -m venv "$1"
  "$1/bin/pip" install --quiet --disable-pip-version-check -r "$root/tests/clients/requirements.txt" || { rm -rf "$1"; return 1; }
  touch "$1/complete"
}

# Compiles curl and a C++ library.
node_client() {
  local missing=() program
  for program in cmake autoconf automake libtoolize:libtool g++ make; do
    command -v "${program%:*}" >/dev/null || missing+=("${program#*:}")
  done
  install_packages "${missing[@]}" || return 1
  say "building the official client for Node.js"
  cp "$root"/bench/nodejs/{package.json,package-lock.json,.npmrc} "$1/"
  (cd "$1" && npm ci --silent --no-audit --no-fund >&2)
}

cargo_deny() {
  say "building cargo-deny $CARGO_DENY_VERSION"
  cargo install --quiet --locked --debug --no-default-features --version "$CARGO_DENY_VERSION" --root "$1" cargo-deny
}

mkdir -p "$cache"
case $what in
packages) packages ;;
sdk)
  # What cannot be had is named, and the rest still works: functions that need no SDK do not miss it.
  python_dir=$cache/sdk/python-$(stamp "$root/sdk/python/requirements.txt")
  nodejs_dir=$cache/sdk/nodejs-$(stamp "$root/sdk/nodejs/package-lock.json")
  make_once "$python_dir" sdk_python || say "functions in Python will not find boto3"
  make_once "$nodejs_dir" sdk_nodejs || say "functions in Node.js will not find @aws-sdk"
  [ ! -d "$python_dir" ] || echo "DORMOUSE_SDK__PYTHON=$python_dir"
  [ ! -d "$nodejs_dir" ] || echo "DORMOUSE_SDK__NODEJS=$nodejs_dir"
  ;;
clients)
  venv=$cache/clients-$(stamp "$root/tests/clients/requirements.txt")
  [ -e "$venv/complete" ] || clients "$venv"
  echo "DORMOUSE_TEST_VENV=$venv"
  ;;
node-client)
  client=$cache/node-client-$(stamp "$root/bench/nodejs/package-lock.json")
  # Without it a row of the benchmark says why it has no figure.
  make_once "$client" node_client || say "the official client for Node.js could not be built"
  [ ! -d "$client" ] || echo "DORMOUSE_TEST_NODE_CLIENT=$client/node_modules/aws-lambda-ric"
  ;;
cargo-deny)
  tool=$cache/cargo-deny-$CARGO_DENY_VERSION
  make_once "$tool" cargo_deny
  echo "$tool/bin/cargo-deny"
  ;;
*) say "no such part: $what; it takes packages, sdk, clients, node-client or cargo-deny"; exit 2 ;;
esac
