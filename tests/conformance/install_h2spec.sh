#!/usr/bin/env bash
# tests/conformance/install_h2spec.sh: builds the h2spec pinned in tests/conformance/h2spec/go.mod (with the sums of
# everything it is made of) into build/go/h2spec, through the Go module proxy. Does nothing when it is already there.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
pin=$root/tests/conformance/h2spec
out=$root/build/go
version=$(sed -n 's/^require github.com\/summerwind\/h2spec //p' "$pin/go.mod")
if [ -x "$out/h2spec" ] && cmp -s "$pin/go.sum" "$out/.h2spec.sum"; then
    echo "h2spec $version is there"
    exit 0
fi
if ! command -v go >/dev/null; then
    echo "no Go compiler: installing Debian's golang-go"
    apt-get install -y -q --no-install-recommends golang-go
fi
mkdir -p "$out"
(cd "$pin" && go build -mod=readonly -o "$out/h2spec" github.com/summerwind/h2spec/cmd/h2spec)
cp "$pin/go.sum" "$out/.h2spec.sum"
echo "h2spec $version built"
