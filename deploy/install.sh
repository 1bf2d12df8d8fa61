# install_packages FILE…: installs the Debian packages named in the files that are not there yet. Nothing missing: no
# network is touched. Sourced by deploy/demo and tests/run.

install_packages() {
    local wanted missing=() package
    wanted=$(sed -e 's/#.*//' "$@" | tr -s ' \n' '\n' | sed '/^$/d')
    for package in $wanted; do
        if ! dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then
            missing+=("$package")
        fi
    done
    if [ ${#missing[@]} -eq 0 ]; then
        return 0
    fi
    echo "installing ${#missing[@]} packages: ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        echo "error: these Debian packages are missing and installing them needs root: ${missing[*]}" >&2
        return 1
    fi
    # Package names may be virtual on a newer release; what cannot be found is named by apt-get itself.
    DEBIAN_FRONTEND=noninteractive apt-get update -q &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -q -o Dpkg::Progress-Fancy=0 "${missing[@]}"
}

# build_preset NAME [target…]: configures when needed and builds, with ninja's own progress.
build_preset() {
    local preset=$1
    shift
    if [ ! -f "build/$preset/build.ninja" ]; then
        cmake --preset "$preset" || return 1
    fi
    cmake --build --preset "$preset" ${1:+--target "$@"}
}
