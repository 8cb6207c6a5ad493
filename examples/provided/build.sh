#!/bin/sh
# Builds the program and puts it where the template looks for it: build/bootstrap.
set -eu
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-target}
cargo build --release
mkdir -p build
cp "$target/release/bootstrap" build/bootstrap
