#!/usr/bin/env bash
# Compiles the C example against the header and the library, and runs it under valgrind: what it loses, or reads where
# nothing is, fails.
set -eu
cd "$(dirname "$0")/.."
cargo build -q -p syncml-capi
target=${CARGO_TARGET_DIR:-target}/debug
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cc -std=c11 -Wall -Wextra -Wpedantic -Werror -g -I capi/include capi/examples/two_phones.c \
  -L "$target" -lsyncml_c -Wl,-rpath,"$(realpath "$target")" -o "$out/two_phones"
c++ -std=c++17 -Wall -Wextra -Werror -fsyntax-only -x c++ capi/include/syncml.h
valgrind --quiet --suppressions=capi/valgrind.supp --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,possible \
  "$out/two_phones" "$out/server.db"
"$out/two_phones"
