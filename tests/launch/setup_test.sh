#!/usr/bin/env bash
# setup_test.sh ROOT: launch/setup.sh against stand-ins for dpkg-query, apt-get, sudo and python3, in a copy of launch/.
# shellcheck disable=SC2016  # the stand-ins expand their own variables
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/checkout" "$scratch/bin"
cp -r "$1/launch" "$scratch/checkout/"
calls=$scratch/calls
export calls

fail() {
  echo "FAILED: $*" >&2
  [[ ! -f $scratch/output ]] || cat "$scratch/output" >&2
  exit 1
}
program() {
  printf '#!/bin/bash\n%s\n' "$2" >"$scratch/bin/$1"
  chmod +x "$scratch/bin/$1"
}
setup() {
  PYTHON=python3 PATH="$scratch/bin:/usr/bin:/bin" "$scratch/checkout/launch/setup.sh" "$@" >"$scratch/output" 2>&1
}
calls_of() { grep -c "^$1" "$calls" || true; }

# A machine where every package but one is there, and a Python whose environments pretend to hold what pip is given.
program dpkg true
program dpkg-query '[[ $* == *ccache* && ! -e $calls.ccache ]] || echo -n installed'
program apt-get 'echo "apt-get $*" >>"$calls"; [[ $* != *install* ]] || touch "$calls.ccache"'
program id 'echo 0'
program python3 '
if [[ $1 == -c ]]; then exit 0; fi
if [[ $2 == venv ]]; then
  mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; exit 0
fi
here=$(dirname "$(dirname "$0")")
if [[ $* == *freeze* ]]; then cat "$here/installed" 2>/dev/null; exit 0; fi
echo "pip $*" >>"$calls"
if [[ -e $calls.kill ]]; then echo torch==2.11.0 >"$here/installed"; kill -9 $PPID; exit 1; fi
for argument in "$@"; do
  [[ $argument != --requirement=* ]] || sed "s/#.*//" "${argument#*=}" >>"$here/installed"
done'
: >"$calls"

touch "$calls.kill"
if setup; then fail "a killed pip was taken for success"; fi
rm "$calls.kill"
[[ $(calls_of "apt-get -*install\|apt-get install") -eq 1 ]] || fail "apt-get install was not called once: $(cat "$calls")"
grep -q 'apt-get .*ccache' "$calls" || fail "apt-get was not asked for the missing package"
! grep -q 'apt-get .*cmake' "$calls" || fail "apt-get was asked for a package that is there"

setup || fail "the run after a killed one"
grep -q 'interrupted' "$scratch/output" || fail "the killed run went unnoticed"
[[ $(calls_of pip) -eq 2 ]] || fail "pip ran $(calls_of pip) times, not 2"

setup || fail "a second run"
[[ ! -s $scratch/output ]] || fail "a second run is not silent"
setup --no-tests || fail "--no-tests after a full set-up"
[[ $(calls_of pip) -eq 2 && $(calls_of apt-get) -eq 2 ]] || fail "a second run did work: $(cat "$calls")"

# Made by hand, the right pins in it: taken as it is.
rm "$scratch"/checkout/.venv/lockstep-*
setup || fail "an environment made by hand"
[[ $(calls_of pip) -eq 2 ]] || fail "an environment that has the pins was installed anew"

# A changed pin is installed into it.
sed -i 's/^torch==.*/torch==2.11.1/' "$scratch/checkout/launch/requirements.txt"
setup || fail "a changed pin"
[[ $(calls_of pip) -eq 3 ]] || fail "a changed pin was not installed"

# Neither root nor sudo, and not Debian: refused with a remedy, nothing touched.
rm -rf "$scratch/checkout/build" "$scratch/checkout/.venv" "$calls.ccache"
program id 'echo 1000'
program sudo 'exit 1'
if setup; then fail "no root was taken for success"; fi
for text in 'neither root nor sudo' Torch_DIR; do
  grep -q "$text" "$scratch/output" || fail "without root: no word of '$text'"
done
[[ ! -e $scratch/checkout/build && ! -e $scratch/checkout/.venv ]] || fail "something was made without root"

if setup --no-such; then fail "an unknown argument was accepted"; fi
echo "launch/setup.sh: all passed"
