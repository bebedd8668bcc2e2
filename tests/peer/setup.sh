#!/usr/bin/env bash
# Makes WORKDIR ready for lab.py: installs SyncEvolution and its company when they are absent, builds the shim for the
# client's curl fault, and mends the first line and the bind address of the server script.      setup.sh WORKDIR
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=${1:?usage: setup.sh WORKDIR}
die() { echo "setup.sh: $*" >&2; exit 1; }

packages="syncevolution syncevolution-http libwbxml2-utils dbus python3 python3-dbus python3-gi python3-twisted python3-openssl gcc libc6-dev"
need=""
for p in $packages; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null || true)" = installed ] || need="$need $p"
done
if [ -n "$need" ]; then
  command -v apt-get >/dev/null || die "missing:$need - and this machine has no apt-get; install them by hand"
  sudo=""
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || die "missing:$need - neither root nor sudo here; run: apt-get install --no-install-recommends$need"
    sudo="sudo"; [ -t 0 ] || sudo="sudo -n"
    $sudo true 2>/dev/null || die "missing:$need - sudo is refused; run: sudo apt-get install --no-install-recommends$need"
  fi
  echo "installing:$need"
  export DEBIAN_FRONTEND=noninteractive
  $sudo apt-get update -qq || echo "setup.sh: apt-get update failed, trying with the lists at hand" >&2
  # shellcheck disable=SC2086
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $need >/dev/null ||
    die "apt-get could not install:$need"
fi
[ -x /usr/bin/syncevolution ] || die "/usr/bin/syncevolution is missing although its package is installed"
[ -f /usr/bin/syncevo-http-server ] || die "/usr/bin/syncevo-http-server is missing although its package is installed"

mkdir -p "$work"
work=$(cd "$work" && pwd)
# Each file is put in place by a rename, so that two runs side by side never see half of one.
gcc -shared -fPIC -O1 -Wall -o "$work/curlfix.so.$$" "$here/curlfix.c" -ldl || die "the curl shim does not compile"
mv "$work/curlfix.so.$$" "$work/curlfix.so"
sed -e '1s|.*|#!/usr/bin/python3|' \
    -e 's|reactor.listenTCP(url.port, site)|reactor.listenTCP(url.port, site, interface=url.hostname)|' \
    /usr/bin/syncevo-http-server > "$work/syncevo-http-server-lo.$$"
grep -q 'interface=url.hostname' "$work/syncevo-http-server-lo.$$" || die "the server script is not the known one: it would listen on all interfaces"
chmod +x "$work/syncevo-http-server-lo.$$"
mv "$work/syncevo-http-server-lo.$$" "$work/syncevo-http-server-lo"
echo "ready: $work"
