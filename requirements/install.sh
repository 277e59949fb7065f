#!/usr/bin/env bash
# Installs the pinned requirements and this project into a virtual environment that exists: requirements/install.sh VENV
#
# uv installs all it can see in parallel, pip the CPU build of torch, which may come from where only pip's own settings
# point, at the same time. Where uv cannot be had, or fails, pip installs everything. --no-deps: some dependencies of the
# engine are not needed, and do not fit a CPU torch.
set -euo pipefail
venv=$1
torch=torch==2.13.0+cpu
# Where PyTorch publishes its CPU builds; asked only when pip's own sources do not have one.
torch_index=https://download.pytorch.org/whl/cpu
log=$venv/install.log
started=$SECONDS

pip_install() { "$venv/bin/python" -m pip --disable-pip-version-check --quiet install "$@" >>"$log" 2>&1; }
install_torch() { pip_install --no-deps "$torch" || pip_install --no-deps --index-url "$torch_index" "$torch"; }
install_rest() {
    grep -v '^torch==' requirements/cpu.txt >"$venv/without-torch.txt"
    if "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps -r "$venv/without-torch.txt" >>"$log" 2>&1; then
        return
    fi
    echo "  pip installs everything, since uv cannot (usually 2 to 5 minutes)"
    pip_install --no-deps -r "$venv/without-torch.txt"
}
# A line now and then while a command runs; its own exit status.
with_signs() {
    local what=$1 began=$SECONDS
    shift
    "$@" &
    local process=$!
    while kill -0 "$process" 2>/dev/null; do
        sleep 1
        if (((SECONDS - began) % 10 == 9)); then echo "  $what: $((SECONDS - began + 1)) s so far, $(du -sm "$venv" | cut -f1) MB"; fi
    done
    wait "$process"
}
both() {
    install_torch &
    local torch_process=$! failed=0
    install_rest || failed=1
    wait "$torch_process" || failed=1
    return $failed
}

echo "Installing pinned requirements into $venv: 4.2 GB, usually 1 to 2 minutes"
pip_install uv || true
with_signs installing both || { tail -n 20 "$log"; echo "The installation failed; $log has all that was said. Run the same command again."; exit 1; }
pip_install --no-deps --no-build-isolation --editable . || { tail -n 20 "$log"; exit 1; }
echo "Installed in $((SECONDS - started)) s."
