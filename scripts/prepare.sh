# Sourced by the other scripts: installs what is missing and builds, each only when needed.
# Speaks in plain sentences and leaves the working directory at the project's root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() { echo "$*" >&2; exit 1; }

# have COMMAND, or a pattern of files for what is no command
have() { case $1 in */*) compgen -G "$1" >/dev/null ;; *) command -v "$1" >/dev/null 2>&1 ;; esac; }

# may_install: root on a Debian with apt, unless TWINLINE_NO_INSTALL is set.
may_install() { [ -z "${TWINLINE_NO_INSTALL:-}" ] && [ "$(id -u)" = 0 ] && have apt-get; }

# need_debian COMMAND=PACKAGE ...: installs the packages whose command is missing. Returns 1 when one stays missing.
need_debian() {
  local missing=() pair
  for pair in "$@"; do have "${pair%%=*}" || missing+=("${pair#*=}"); done
  [ ${#missing[@]} -eq 0 ] && return 0
  may_install || return 1
  echo "Installing from Debian: ${missing[*]}"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"${TMPDIR:-/tmp}/twinline-apt.$$.log" 2>&1 ||
    { tail -n 5 "${TMPDIR:-/tmp}/twinline-apt.$$.log" >&2; return 1; }
}

need_node() {
  have node || die "Twinline needs Node.js 20 or newer; no 'node' is on the PATH."
  local major; major=$(node -p 'process.versions.node.split(".")[0]')
  [ "$major" -ge 20 ] || die "Twinline needs Node.js 20 or newer; this is $(node --version)."
}

need_packages() {
  local stamp=node_modules/.twinline-lock
  if ! cmp -s package-lock.json "$stamp"; then
    # npm would empty the directory behind the link, which is another checkout's.
    [ ! -L node_modules ] || die "node_modules is a link to packages of another package-lock.json: install them there first."
    echo "Installing npm packages"
    npm ci --no-audit --no-fund --loglevel=error >&2 || die "npm ci failed; the lines above say why."
    cp package-lock.json "$stamp"
  fi
}

# build: compiles src to dist when a source is newer than the last build.
build() {
  if [ ! -f dist/.built ] || [ -n "$(find src tsconfig.json tsconfig.build.json package-lock.json -newer dist/.built -print -quit)" ]; then
    npx --no-install tsc -p tsconfig.build.json || die "The build failed; the lines above say where."
    touch dist/.built
  fi
}
