#!/usr/bin/env bash
# Cross-checks messages with libwbxml, in both directions: every *.wbxml below the given folders must decode with wbxml2xml
# to well-formed SyncML, every *.xml that is SyncML must encode with xml2wbxml (the version is taken from its content).
#   tests/wbxml.sh DIR...          prints "N passed, N failed"; exit 0 only when nothing failed and something passed
set -uo pipefail
[ $# -gt 0 ] || { echo "usage: wbxml.sh DIR..." >&2; exit 2; }
for tool in wbxml2xml xml2wbxml; do
  command -v "$tool" >/dev/null || { echo "wbxml.sh: $tool is missing (apt-get install libwbxml2-utils)" >&2; exit 2; }
done
for d in "$@"; do [ -e "$d" ] || { echo "wbxml.sh: no such folder: $d" >&2; exit 2; }; done
out=$(mktemp -d) || exit 2
trap 'rm -rf "$out"' EXIT
passed=0 failed=0
bad() { failed=$((failed + 1)); printf 'FAIL %s: %s\n' "$1" "$2"; }
# The public id that a WBXML document of this XML must carry: 1.0 0x0FD1, 1.1 0x0FD3, 1.2 0x1201.
public_id() {
  case "$(LC_ALL=C grep -aom1 -E '<([A-Za-z]+:)?VerDTD[^>]*>[[:space:]]*1\.[0-9]' "$1" | LC_ALL=C grep -oE '1\.[0-9]$')" in
    1.0) echo 9f51 ;; 1.1) echo 9f53 ;; 1.2) echo a401 ;; esac
}
# Opaque data may be any bytes (SyncEvolution sends an MD5 digest of SyncML 1.0 raw), and libwbxml writes them into its XML as they are,
# "]]>" inside CDATA too. The bytes are cleared away before looking; with "]]>" inside, its XML cannot be judged.
well_formed() {
  command -v xmllint >/dev/null || return 0
  LC_ALL=C grep -aqF ']]>' "$1" && return 0
  iconv -c -f UTF-8 -t UTF-8 "$out/o" 2>/dev/null | LC_ALL=C tr -d '\000-\010\013\014\016-\037' > "$out/clean"
  xmllint --noout --nonet --huge "$out/clean" 2>&1
}
while IFS= read -r -d '' f; do
  rm -f "$out/o"
  case "$f" in
    *.wbxml)
      if ! why=$(timeout 60 wbxml2xml -o "$out/o" "$f" 2>&1); then bad "$f" "${why//$'\n'/ }"
      elif ! LC_ALL=C grep -aq '<SyncML' "$out/o"; then bad "$f" "decoded, but not to SyncML"
      elif ! why=$(well_formed "$f"); then bad "$f" "decodes to broken XML: $(head -n1 <<<"$why")"
      else passed=$((passed + 1)); fi ;;
    *)
      LC_ALL=C grep -aqE '<([A-Za-z]+:)?SyncML[ >/]' "$f" || continue
      # A Property that stands alone, as in the field part of a filter (§3.16): libwbxml knows it within a DevInf only.
      LC_ALL=C grep -aqF '<Data><Property ' "$f" && continue
      want=$(public_id "$f")
      if ! why=$(timeout 60 xml2wbxml -n -o "$out/o" "$f" 2>&1); then bad "$f" "${why//$'\n'/ }"
      elif [ ! -s "$out/o" ]; then bad "$f" "encoded to nothing"
      elif [ -n "$want" ] && [ "$(od -An -tx1 -j1 -N2 "$out/o" | tr -d ' \n')" != "$want" ]; then bad "$f" "encoded as another version than its VerDTD"
      else passed=$((passed + 1)); fi ;;
  esac
done < <(find "$@" -type f \( -name '*.wbxml' -o -name '*.xml' \) -print0 | sort -z)
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
