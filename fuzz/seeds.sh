#!/usr/bin/env bash
# Makes what fuzzing begins with, of fixtures/: fuzz/seeds/TARGET.
set -eu
cd "$(dirname "$0")/.."
rm -rf fuzz/seeds
SYNCML_SEEDS="$PWD/fuzz/seeds" cargo test -q --features http --test findings seeds
