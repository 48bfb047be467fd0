#!/usr/bin/env bash
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: launch/build.sh [--no-tests] [--jobs N] [--help]

Builds everything into build/ (CMake preset "release"). The programs are build/bin/lockstep-prep and build/bin/lockstep.
Only what changed is rebuilt.

  --no-tests   build only the two programs
  --jobs N     compile N files at once [the number of cores, or fewer if memory is short]

LOCKSTEP_VENV  the Python environment [.venv]
HELP
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build
python=${LOCKSTEP_VENV:-$root/.venv}/bin/python
with_tests=true
jobs=

fail() {
  echo "launch/build.sh: error: $*" >&2
  exit 1
}

while [[ $# -gt 0 ]]; do
  case $1 in
    --no-tests) with_tests=false ;;
    --jobs)
      [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || fail "--jobs: expected a number, found '${2:-}'"
      jobs=$2
      shift
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) fail "unknown argument '$1'; see --help" ;;
  esac
  shift
done

# A group of files that include torch takes 1.8 GB to compile.
default_jobs() {
  local cores memory_kib
  cores=$(nproc)
  memory_kib=$(awk '$1 == "MemAvailable:" {print $2}' /proc/meminfo)
  awk -v cores="$cores" -v memory="$memory_kib" \
    'BEGIN {fit = int(memory / (2 * 1024 * 1024)); print fit < 1 ? 1 : (fit < cores ? fit : cores)}'
}

cached() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt" 2>/dev/null; }

# Programs alone need no tests' packages, but a build folder that has the tests keeps them.
needs_configure() {
  [[ -f $build/build.ninja && $(cached LOCKSTEP_PYTHON) == "$python" ]] || return 0
  $with_tests && [[ $(cached LOCKSTEP_BUILD_TESTS) != ON ]]
}

configure() {
  local tests=ON
  $with_tests || [[ -f $build/build.ninja && $(cached LOCKSTEP_BUILD_TESTS) == ON ]] || tests=OFF
  mkdir -p "$build"
  cmake --preset release -DLOCKSTEP_PYTHON="$python" -DLOCKSTEP_BUILD_TESTS=$tests >"$build/configure.log" 2>&1 || {
    cat "$build/configure.log" >&2
    fail "cmake could not configure; run launch/setup.sh, or see launch/setup.sh --help for a cluster"
  }
}

cd "$root"
started=$SECONDS
if needs_configure; then configure; fi
targets=(all)
$with_tests || targets=(lockstep lockstep-prep)
quiet=()
[[ -t 1 ]] || quiet=(--quiet)
cmake --build "$build" --parallel "${jobs:-$(default_jobs)}" --target "${targets[@]}" -- "${quiet[@]}"
echo "build: build/bin/lockstep and build/bin/lockstep-prep are ready ($((SECONDS - started)) s)"
