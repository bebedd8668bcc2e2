#!/usr/bin/env bash
# Fuzzes a target, or all of them, for so many seconds each; what is found is put into fuzz/artifacts/TARGET.
set -eu
cd "$(dirname "$0")"
target=${1:?usage: fuzz/run.sh TARGET|all [SECONDS]} seconds=${2:-900}
[ -d seeds ] || ./seeds.sh
cargo +nightly fuzz build -s none
[ "$target" = all ] && target="xml wbxml devinf card san filter http obex auth server client stored"
for name in $target; do
  case $name in
    xml) more="-dict=dictionaries/xml.dict -max_len=16384" ;;
    wbxml) more="-dict=dictionaries/wbxml.dict -max_len=8192" ;;
    devinf) more="-dict=dictionaries/xml.dict -max_len=8192" ;;
    card) more="-dict=dictionaries/card.dict -max_len=4096" ;;
    filter | http | obex | auth) more="-max_len=2048" ;;
    san) more="-max_len=1024" ;;
    *) more="-max_len=600 -len_control=0" ;;
  esac
  mkdir -p "artifacts/$name" "found/$name"
  # What was new goes to found/, and is cut down with `cargo fuzz cmin`; corpus/ is what is kept of it.
  # shellcheck disable=SC2086
  cargo +nightly fuzz run -s none "$name" "found/$name" "seeds/$name" "corpus/$name" -- $more \
    -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1
done
