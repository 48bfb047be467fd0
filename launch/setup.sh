#!/usr/bin/env bash
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: launch/setup.sh [--no-tests] [--python-only] [--help]

Installs what building and running lockstep needs: the packages in launch/debian-packages*.txt with apt (as root or
with sudo), and a Python environment in .venv with the packages in launch/requirements*.txt, pinned by
launch/constraints.txt. What is already installed stays as it is; a second run does and prints nothing.

  --no-tests      leave out what only the tests need
  --python-only   do not install system packages (on a cluster with modules, or on another distribution)

LOCKSTEP_VENV     place of the Python environment [.venv]
PYTHON            the Python, 3.11 or newer, from which a new environment is made [/usr/bin/python3, else python3]
HELP
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${LOCKSTEP_VENV:-$root/.venv}
with_tests=true
with_packages=true

say() { echo "setup: $*"; }
fail() {
  echo "launch/setup.sh: error: $*" >&2
  exit 1
}

for argument in "$@"; do
  case $argument in
    --no-tests) with_tests=false ;;
    --python-only) with_packages=false ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) fail "unknown argument '$argument'; see --help" ;;
  esac
done

package_lists=("$root/launch/debian-packages.txt")
requirements=("$root/launch/requirements.txt")
if $with_tests; then
  package_lists+=("$root/launch/debian-packages-test.txt")
  requirements+=("$root/launch/requirements-test.txt")
fi

# Lines of the given files without comments.
entries() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$@"; }

missing_packages() {
  local package
  while read -r package; do
    [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
  done < <(entries "${package_lists[@]}")
}

explain_by_hand() {
  cat >&2 <<HELP
launch/setup.sh: error: $1. Nothing was changed.

Needed: $(entries "${package_lists[@]}" | paste -sd ' ')
(Debian's names), and Python 3.11 with venv.
On a cluster, load its modules, e.g.  module load gcc cmake ninja openmpi hdf5 python
then run                              launch/setup.sh --python-only
To use libraries of your site in place of those of the Python environment, configure with
  cmake --preset release -DTorch_DIR=.../share/cmake/Torch -DNCCL_ROOT=... -DArrow_ROOT=... -DLOCKSTEP_PYTHON=...
HELP
  exit 1
}

as_root=()
missing=()

# Refuses, before anything is changed, what apt cannot do here.
find_missing_packages() {
  local tool
  for tool in dpkg-query apt-get; do
    command -v "$tool" >/dev/null || explain_by_hand "this is not Debian: no $tool"
  done
  mapfile -t missing < <(missing_packages)
  if [[ ${#missing[@]} -gt 0 && $(id -u) -ne 0 ]]; then
    as_root=(sudo)
    # Nobody can type a password where there is no terminal.
    [[ -t 0 ]] || as_root+=(-n)
    "${as_root[@]}" true 2>/dev/null || explain_by_hand "neither root nor sudo, to install: ${missing[*]}"
  fi
}

install_packages() {
  mapfile -t missing < <(missing_packages)
  [[ ${#missing[@]} -gt 0 ]] || return 0
  say "installing Debian packages: ${missing[*]}"
  {
    # Finishes what a dpkg that was killed left half-way; without such it does nothing.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive dpkg --configure -a
    "${as_root[@]}" apt-get update -qq -o DPkg::Lock::Timeout=300
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
      -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "${missing[@]}"
  } >"$log" 2>&1 || fail "apt-get failed: $(tail -n 5 "$log")
All of its output is in $log"
}

# The stamp has a line for every requirements file that the environment satisfies.
stamp=$venv/lockstep-requirements.sha256
# Our own environment may be thrown away and made anew; one that somebody else made may not.
made_here=$venv/lockstep-made-by-setup
# There while pip fills our own environment: what a killed pip leaves behind cannot be trusted.
unfinished=$venv/lockstep-unfinished

stamp_lines() {
  local file
  for file in "${requirements[@]}"; do
    echo "$(cat "$file" "$root/launch/constraints.txt" | sha256sum | cut -d ' ' -f 1) ${file##*/}"
  done
}

is_stamped() {
  [[ -f $stamp && ! -e $unfinished ]] && "$venv/bin/python" -c '' 2>/dev/null || return 1
  local line
  while IFS= read -r line; do grep -qxF "$line" "$stamp" || return 1; done < <(stamp_lines)
}

satisfies_pins() {
  local installed pin
  installed=$("$venv/bin/python" -m pip freeze --all 2>/dev/null) || return 1
  while read -r pin; do grep -qixF "$pin" <<<"$installed" || return 1; done < <(entries "${requirements[@]}")
}

# Anew each time: what an older requirements file asked for does not count.
write_stamp() {
  stamp_lines >"$stamp.new"
  mv "$stamp.new" "$stamp"
}

base_python() {
  local python
  for python in ${PYTHON:-/usr/bin/python3 python3}; do
    if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$python"
      return
    fi
  done
  fail "no Python 3.11 or newer with venv and ensurepip; name one with PYTHON=..."
}

make_environment() {
  local python
  python=$(base_python)
  say "making the Python environment $venv"
  mkdir -p "$venv"
  touch "$made_here" "$unfinished"
  "$python" -m venv "$venv" >"$log" 2>&1 || fail "'$python' could not make an environment: $(tail -n 5 "$log")"
}

install_python() {
  ! is_stamped || return 0
  if [[ -e $unfinished ]]; then
    say "an earlier setup was interrupted; making $venv again"
    rm -rf "$venv"
  fi
  if [[ ! -e $venv/bin/python ]]; then
    [[ ! -e $venv || -z $(ls -A "$venv") ]] || fail "$venv exists but is not a Python environment; remove it"
    make_environment
  fi
  if [[ -e $unfinished ]] || ! satisfies_pins; then
    [[ ! -e $made_here ]] || touch "$unfinished"
    say "installing $(entries "${requirements[@]}" | paste -sd ' ') (some minutes, 5 GB)"
    local quiet=()
    [[ -t 1 ]] || quiet=(--quiet)
    "$venv/bin/python" -m pip install "${quiet[@]}" --disable-pip-version-check --no-input \
      --constraint="$root/launch/constraints.txt" "${requirements[@]/#/--requirement=}" ||
      fail "pip failed; see its output above"
  fi
  write_stamp
  rm -f "$unfinished"
}

if $with_packages; then find_missing_packages; fi
mkdir -p "$root/build"
log=$root/build/setup.log
lock=$root/build/setup.lock
[[ -z ${LOCKSTEP_VENV:-} ]] || lock=$venv.lock
if command -v flock >/dev/null; then
  exec 9>"$lock"
  flock -n 9 || {
    say "waiting for another setup"
    flock 9
  }
fi

if $with_packages; then install_packages; fi
install_python
