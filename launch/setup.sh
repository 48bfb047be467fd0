#!/usr/bin/env bash
# Installs what Lockstep is built from. Each step looks first whether its work is done already.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
packages_file=$root/launch/debian-packages.txt
venv=${LOCKSTEP_VENV:-$root/.venv}
with_tests=true
python_only=false
any_version=false

show_help() {
  cat <<'HELP'
Usage: launch/setup.sh [--no-tests] [--python-only] [--any-version]

Installs what Lockstep is built from, on Debian 12, as root or by sudo:
  - the Debian packages of launch/debian-packages.txt (compiler, CMake, Open MPI, HDF5, SentencePiece, ...);
  - a Python environment, .venv, with the wheels of launch/requirements.txt (LibTorch, NCCL, Arrow: about 5 GB)
    and, for the tests, of launch/requirements-test.txt; versions are pinned by launch/constraints.txt.
What is there already stays as it is: a second run does nothing and says nothing.

  --no-tests     leave out what only the tests need
  --python-only  make the Python environment alone; for a cluster whose modules give the rest
  --any-version  accept other versions than Debian 12's (a later Debian, Ubuntu)
  -h, --help     show this

Environment:
  LOCKSTEP_VENV         folder of the Python environment [.venv in the checkout]
  LOCKSTEP_BASE_PYTHON  Python 3.11 or later to make it with [/usr/bin/python3, else python3]
HELP
}

say() { echo "setup: $*" >&2; }
fail() {
  say "error: $*"
  exit 1
}

while [[ $# -gt 0 ]]; do
  case $1 in
    --no-tests) with_tests=false ;;
    --python-only) python_only=true ;;
    --any-version) any_version=true ;;
    -h | --help) show_help && exit 0 ;;
    *) fail "unknown option '$1'; see launch/setup.sh --help" ;;
  esac
  shift
done

# Prints "name version" of each package that this set-up wants.
wanted_packages() {
  local name version only_for
  while read -r name version only_for; do
    [[ $name == \#* || -z $name ]] && continue
    [[ $only_for == test && $with_tests == false ]] && continue
    echo "$name $version"
  done <"$packages_file"
}

# Prints "name version" of each wanted package that dpkg knows as installed, without the version's epoch.
installed_packages() {
  local names
  mapfile -t names < <(wanted_packages | cut -d' ' -f1)
  # dpkg-query fails when it does not know one of the names, after it has printed the others.
  # shellcheck disable=SC2016  # ${...} are dpkg's
  dpkg-query -W -f '${db:Status-Abbrev}|${Package} ${Version}\n' "${names[@]}" 2>/dev/null |
    sed -nE 's/^ii \|([^ ]+) ([0-9]+:)?/\1 /p' || true
}

missing_packages() {
  comm -23 <(wanted_packages | cut -d' ' -f1 | sort) <(installed_packages | cut -d' ' -f1 | sort)
}

explain_own_packages() {
  local missing=$1
  cat >&2 <<TEXT
setup: error: $2
Missing: ${missing//$'\n'/ }

Ask the machine's administrator for these Debian packages, or give your site's own software instead:
  1. Load modules, for example: module load gcc/12 cmake ninja openmpi hdf5
     Needed: a C++20 compiler (g++ 12), CMake 3.25, Ninja, pkg-config, MPI, HDF5 (C), OpenSSL, spdlog, fmt, CLI11,
     nlohmann-json, yaml-cpp, sentencepiece, utf8proc; for the tests GoogleTest too.
  2. Make the Python environment alone (LibTorch, NCCL, Arrow; no root needed): launch/setup.sh --python-only
  3. Configure by hand. What find_package does not see stands behind CMAKE_PREFIX_PATH and PKG_CONFIG_PATH; a site's
     own LibTorch, NCCL, Arrow or Python take the place of the wheels':
       cmake --preset release -DLOCKSTEP_BUILD_TESTS=OFF -DTorch_DIR=.../share/cmake/Torch -DNCCL_ROOT=... \\
         -DArrow_ROOT=... -DLOCKSTEP_PYTHON=.../bin/python -DCMAKE_PREFIX_PATH="...;..."
       cmake --build build
TEXT
  exit 1
}

# Sets as_root to what runs a command as root; fails if nothing does.
find_root() {
  as_root=()
  [[ $(id -u) -eq 0 ]] && return
  command -v sudo >/dev/null || return 1
  # Without a terminal sudo cannot ask for a password.
  [[ -t 0 && -t 2 ]] || sudo -n true 2>/dev/null || return 1
  as_root=(sudo)
}

install_packages() {
  local missing=$1 apt_options=(-y --no-install-recommends -o DPkg::Lock::Timeout=600)
  local names
  mapfile -t names <<<"$missing"
  find_root || explain_own_packages "$missing" "Debian packages are missing, and this user is neither root nor has sudo."
  say "installing ${#names[@]} Debian packages: ${names[*]}"
  [[ -t 1 ]] || apt_options+=(-qq -o Dpkg::Use-Pty=0)
  # A dpkg that was killed half-way finishes first; where there is nothing to finish this does nothing.
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive dpkg --configure -a >&2
  "${as_root[@]}" apt-get -q -o DPkg::Lock::Timeout=600 update >&2 ||
    say "warning: apt-get update failed; going on with the package lists that are there"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get "${apt_options[@]}" install "${names[@]}" >&2 ||
    fail "apt-get could not install the packages; its own words stand above. Run launch/setup.sh again after the remedy"
}

check_versions() {
  local name expected found
  while read -r name expected found; do
    [[ $found == "$expected" || $found == "$expected"[.+-]* ]] && continue
    fail "$name: expected $expected (Debian 12), found $found; give --any-version to go on with it"
  done < <(join <(wanted_packages | sort) <(installed_packages | sort))
}

set_up_packages() {
  local missing
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    explain_own_packages "$(wanted_packages | cut -d' ' -f1)" "This machine has no apt: it is not Debian-like."
  fi
  missing=$(missing_packages)
  [[ -z $missing ]] || install_packages "$missing"
  [[ $any_version == true ]] || check_versions
}

base_python() {
  local candidate
  for candidate in "${LOCKSTEP_BASE_PYTHON:-/usr/bin/python3}" python3; do
    if "$candidate" -Ic 'import sys, venv, ensurepip; assert sys.version_info >= (3, 11)' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  fail "no Python 3.11 or later with venv; install python3-venv, or name one by LOCKSTEP_BASE_PYTHON"
}

# The state of a requirements file together with the pins: what its stamp must say.
fingerprint() { cat "$1" "$root/launch/constraints.txt" | sha256sum | cut -d' ' -f1; }
stamp_of() { echo "$venv/lockstep-$(basename "$1").sha256"; }
is_current() { [[ $(cat "$(stamp_of "$1")" 2>/dev/null) == "$(fingerprint "$1")" ]]; }

make_environment() {
  local unfinished=$venv/lockstep-unfinished python
  # Started and never finished: pip may have left half a package that it takes for a whole one.
  if [[ -e $unfinished ]] || ! "$venv/bin/python" -Ic 'import pip' 2>/dev/null; then
    python=$(base_python)
    say "making the Python environment $venv with $python"
    "$python" -m venv --clear "$venv"
  fi
  touch "$unfinished"
  local pip_options=(--disable-pip-version-check --no-input --require-virtualenv) file
  [[ -t 1 ]] || pip_options+=(--quiet)
  for file in "$@"; do
    say "installing $(basename "$file") into $venv: $(grep -v '^#' "$file" | tr '\n' ' ')"
    PIP_USER=0 "$venv/bin/python" -Im pip install "${pip_options[@]}" -c "$root/launch/constraints.txt" -r "$file" >&2 ||
      fail "pip could not install $file; its own words stand above. Run launch/setup.sh again after the remedy"
  done
  for file in "$@"; do fingerprint "$file" >"$(stamp_of "$file")"; done
  rm "$unfinished"
}

set_up_python() {
  local files=("$root/launch/requirements.txt") pending=() file
  [[ $with_tests == false ]] || files+=("$root/launch/requirements-test.txt")
  for file in "${files[@]}"; do is_current "$file" || pending+=("$file"); done
  if [[ ${#pending[@]} -gt 0 ]] || ! "$venv/bin/python" -Ic '' 2>/dev/null; then make_environment "${files[@]}"; fi
}

# Two set-ups at once: the second waits, then finds its work done. The folder itself is what is locked.
mkdir -p "$venv"
exec 9<"$venv"
flock 9 || say "warning: no locks on this file system; do not run two set-ups at once"

[[ $python_only == true ]] || set_up_packages
set_up_python
