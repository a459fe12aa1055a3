# Sourced by the other scripts: makes the project's own environment in .venv, once per change of pyproject.toml.
# Usage: . scripts/env.sh "EXTRA[,EXTRA...]" [--dev|--docs]

cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
        if [ -n "$candidate" ] && "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "agentinfer needs Python 3.11 or later, with venv (on Debian: apt-get install python3-venv)" >&2
    return 1
}

set_up() {
    local extras=$1 group=${2:-} stamp
    stamp=".venv/.set-up-$(printf '%s %s' "$extras" "$group" | cat - pyproject.toml | sha256sum | cut -c1-16)"
    [ -e "$stamp" ] && return
    local python
    python=$(find_python)
    echo "setting up .venv with $("$python" --version) ..." >&2
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    local pip=(.venv/bin/python -m pip --quiet --disable-pip-version-check --retries 5)
    "${pip[@]}" install --upgrade "pip>=25.1"
    "${pip[@]}" install --editable ".${extras:+[$extras]}" ${group:+--group "${group#--}"}
    touch "$stamp"
}

set_up "$@"
