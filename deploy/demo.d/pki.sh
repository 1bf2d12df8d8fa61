#!/usr/bin/env bash
# pki.sh FOLDER: makes a certificate authority in FOLDER and, from lines "name subjectAltName" on standard input, for
# each name NAME.pem and NAME.key, valid for a week. Everything is new at every run; nothing is kept in the repository.
set -eu
umask 077
mkdir -p "$1"
cd "$1"
new_key() {
    openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
}
new_key ca
openssl req -x509 -new -key ca.key -days 7 -subj "/CN=Egret demo CA" -addext basicConstraints=critical,CA:TRUE \
    -addext keyUsage=critical,keyCertSign,cRLSign -out ca.pem
while read -r name alternatives; do
    new_key "$name"
    printf 'basicConstraints=CA:FALSE\nsubjectAltName=%s\n' "$alternatives" >"$name.ext"
    openssl req -new -key "$name.key" -subj "/CN=$name" -out "$name.csr"
    openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 7 -extfile "$name.ext" \
        -out "$name.pem" 2>/dev/null
    rm -f "$name.csr" "$name.ext"
done
chmod 644 ./*.pem
