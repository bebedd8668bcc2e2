#!/usr/bin/env bash
# Checks messages against the grammars in schemas/.
#
#   tests/schema.sh FILE|DIRECTORY…   validate these files, and every *.xml below these directories
#   tests/schema.sh --self-test       check the grammars themselves against fixtures/schema/
#
# Ends with a line `N passed, N failed`; the exit status is 0 only if nothing failed.
# Beyond the grammar it checks that no CmdID occurs twice in a message.
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
schemas=$root/schemas
fixtures=$root/fixtures/schema
passed=0 failed=0

main() {
  command -v xmllint >/dev/null || { echo "xmllint is missing (package libxml2-utils)" >&2; exit 2; }
  if [[ $# -eq 0 || $1 == -h || $1 == --help ]]; then
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    exit 2
  fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT

  if [[ $1 == --self-test ]]; then
    self_test
  else
    local argument file
    for argument; do
      [[ -e $argument ]] || { fail "$argument" "no such file"; continue; }
      find "$argument" -type f \( -name '*.xml' -o -samefile "$argument" \) -print0 | sort -z >"$work/files"
      sieve
      passed=$((passed + $(wc -l <"$work/clean")))
      while IFS= read -r file; do
        if problems=$(check "$file"); then pass; else fail "$file" "$problems"; fi
      done < <(tr '\0' '\n' <"$work/files" | LC_ALL=C comm -23 - "$work/clean")
    done
  fi

  echo "$passed passed, $failed failed"
  [[ $failed -eq 0 && $passed -gt 0 ]]
}

pass() { passed=$((passed + 1)); }

fail() {
  failed=$((failed + 1))
  echo "FAIL $1"
  sed 's/^/  /' <<<"$2"
}

# Puts into `clean` those of `files` that are seen at once to be right: each grammar reads all its messages in one run, which
# spares three processes per message. What is not seen to be right, `check` judges.
sieve() {
  local version
  xargs -0 -r awk 'BEGIN { RS = "<" }
    FNR == 1 { split("", seen) }
    /^([A-Za-z]+:)?CmdID>/ { if ($0 in seen) print FILENAME; seen[$0] = 1 }' <"$work/files" | sort -u >"$work/twice"
  for version in 1.0 1.1 1.2; do
    { xargs -0 -r grep -aElZ "^(<\?xml [^>]*\?>)?[[:space:]]*<SyncML xmlns=\"SYNCML:SYNCML$version\">" <"$work/files" |
      xargs -0 -r -n 500 -P 2 xmllint --nonet --noout --relaxng "$schemas/syncml-$version.rng" 2>&1 || true; } |
      sed -n 's/ validates$//p'
  done | sort | comm -23 - "$work/twice" >"$work/clean"
}

# Prints what is wrong with a file; succeeds if nothing is.
check() {
  local file=$1 name namespace version grammar output twice problems=''
  IFS='|' read -r name namespace version < <(
    xmllint --nonet --xpath 'concat(local-name(/*), "|", namespace-uri(/*), "|",
      (/*[local-name()="DevInf"] | /*/*[local-name()="SyncHdr"])/*[local-name()="VerDTD"])' \
      "$file" 2>/dev/null || true)

  case $name:$namespace in
    SyncML:SYNCML:SYNCML1.[012]) grammar=syncml-${namespace#SYNCML:SYNCML} ;;
    SyncML:) grammar=syncml-$version ;;
    DevInf:syncml:devinf) grammar=devinf-$version ;;
    MetInf:syncml:metinf) grammar=metinf-1.2 ;;
    :) xmllint --nonet --noout "$file" 2>&1 | head -n 3; return 1 ;;
    *) echo "no grammar for root $name in namespace '$namespace'"; return 1 ;;
  esac
  [[ -f $schemas/$grammar.rng ]] || { echo "no grammar for $name with VerDTD '$version'"; return 1; }

  # Some 1.0 peers fail on the namespace of the root, so 1.0 may go without; see what else there is.
  if [[ -z $namespace ]]; then
    [[ $version == 1.0 ]] || problems="SyncML has no namespace; VerDTD says $version"$'\n'
    sed "0,/<SyncML/s//<SyncML xmlns=\"SYNCML:SYNCML$version\"/" "$file" >"$work/named.xml"
    file=$work/named.xml
  fi

  # The exit status decides. A DOCTYPE is not followed; complaints about that are left out.
  if ! output=$(xmllint --nonet --noout --relaxng "$schemas/$grammar.rng" "$file" 2>&1); then
    output=$(grep -E 'parser error|validity error' <<<"$output" | sed "s|^$work/||" | awk '!seen[$0]++' || true)
    problems+=${output:-"rejected by $grammar.rng"}
  fi

  twice=$(xmllint --nonet --xpath '//*[local-name()="CmdID"]' "$file" 2>/dev/null |
    sed 's/<[^>]*>/\n/g' | sed '/^[[:space:]]*$/d' | sort | uniq -d | tr '\n' ' ')
  [[ -z $twice ]] || problems+=$'\n'"CmdID used twice: $twice"

  problems=$(sed '/^$/d' <<<"$problems")
  [[ -z $problems ]] || { echo "$problems"; return 1; }
}

# Every good file passes, together they use every element; every bad file fails and, once its one
# fault is mended by the sed command in its <?repair?>, passes.
self_test() {
  local file version problems repair
  for file in "$fixtures"/good/*.xml; do
    if problems=$(check "$file"); then pass; else fail "$file" "$problems"; fi
  done
  for version in 1.0 1.1 1.2; do
    if problems=$(unused_elements "$version"); then pass; else fail "elements of $version" "$problems"; fi
  done
  for file in "$fixtures"/bad/*.xml; do
    if check "$file" >/dev/null; then fail "$file" "accepted, but breaks a rule"; continue; fi
    repair=$(sed -n 's/^<?repair \(.*\)?>$/\1/p' "$file")
    [[ -n $repair ]] || { fail "$file" "has no <?repair?>"; continue; }
    sed '/^<?repair /d' "$file" | sed "$repair" >"$work/repaired.xml"
    if problems=$(check "$work/repaired.xml"); then pass; else fail "$file" "still wrong when repaired: $problems"; fi
  done
}

# Names the elements of a version (fixtures/schema/elements.txt) that no good file of it contains.
unused_elements() {
  local version=$1 namespace element first last tests='' unused
  {
    echo '<all>'
    sed '/^<?xml /d' "$fixtures/good/$version"-*.xml
    echo '</all>'
  } >"$work/all.xml"
  while read -r namespace element first last; do
    [[ $namespace != \#* && $namespace ]] || continue
    [[ ! $version < $first && ! $version > ${last:-9} ]] || continue
    [[ $namespace != SyncML ]] || namespace=SYNCML:SYNCML$version
    tests+=", substring('$namespace $element;', 1, 99 * not(//*[local-name()='$element' and namespace-uri()='$namespace']))"
  done <"$fixtures/elements.txt"
  unused=$(xmllint --xpath "concat(''$tests)" "$work/all.xml")
  [[ -z $unused ]] || { tr ';' '\n' <<<"$unused" | sed '/^$/d; s/^/not in any good file: /'; return 1; }
}

main "$@"
