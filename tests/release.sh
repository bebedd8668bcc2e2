#!/usr/bin/env bash
# What a release must pass beside the tests: every set of features, the oldest compiler and the oldest dependencies that
# Cargo.toml names, licences and known flaws, and what the package holds. Prints a line for each; for `tests/run --full`.
set -u
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

check() {
  local name=$1; shift
  if "$@" >"$work/log" 2>&1; then
    passed=$((passed + 1)); printf 'ok    %s\n' "$name"
  else
    failed=$((failed + 1)); printf 'FAIL  %s\n' "$name"; tail -n 20 "$work/log"
  fi
}

# Every subset of the features, but for those that others bring along anyway.
features=(sqlite postgres http service console)
for ((set = 0; set < 1 << ${#features[@]}; set++)); do
  chosen=""
  for at in "${!features[@]}"; do ((set >> at & 1)) && chosen="$chosen,${features[at]}"; done
  # `console` has `http` and `service`.
  [[ $chosen == *console* && ($chosen == *http* || $chosen == *service*) ]] && continue
  check "features: ${chosen#,}" cargo check -q --no-default-features --features "${chosen#,}"
done
check "features: documents" cargo check -q --no-default-features --features documents
check "features: cli" cargo check -q --features cli

# The oldest compiler, where rustup can bring it.
oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
if rustup toolchain install "$oldest" --profile minimal >/dev/null 2>&1; then
  check "rust $oldest" env CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/oldest" cargo "+$oldest" check -q --all-features
else
  echo "      no rust $oldest at hand"
fi

# The oldest releases of what Cargo.toml names, in a copy: the lock file is another one.
mkdir "$work/old" && cp -r Cargo.toml README.md src schemas benches examples capi "$work/old"
old() { (cd "$work/old" && RUSTC_BOOTSTRAP=1 cargo update -q -Z direct-minimal-versions && cargo check -q --all-features); }
check "oldest dependencies" env CARGO_TARGET_DIR="$PWD/${CARGO_TARGET_DIR:-target}/oldest" bash -c "$(declare -f old); work=$work; old"

if cargo deny --version >/dev/null 2>&1 || cargo install -q cargo-deny --locked; then
  check "licences, bans, sources" cargo deny check bans licenses sources
  # The list of known flaws is a repository of its own.
  if cargo deny fetch >/dev/null 2>&1; then
    check "known flaws" cargo deny check advisories
  else
    echo "      no list of known flaws at hand"
  fi
else
  echo "      no cargo-deny at hand"
fi

# The package builds by itself and holds what it needs only.
unexpected() { ! cargo package -q --list --allow-dirty | grep -vE '^(src/|schemas/|Cargo\.(toml|lock|toml\.orig)$|README\.md$|CHANGELOG\.md$|LICENSE-|\.cargo_vcs_info\.json$)'; }
check "the package holds nothing else" unexpected
check "the package builds" cargo package -q --allow-dirty -p syncml

printf '\n%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
