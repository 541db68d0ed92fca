#!/bin/sh
# SPDX-License-Identifier: ISC
# Debian packages that coexist needs, by purpose.
#
#   packages.sh verify SET    name each missing package, one line each; exit 69 if any is missing
#   packages.sh install SET   install the missing ones with apt-get (as root or with sudo)
#
# SET is build, check, demo, bench, fuzz or soak.  This list is the only place where packages are named:
# mail servers are not on it, they are guests under build/peers (tests/tools/peers.py).
set -eu

build="libdb5.3-dev libmilter-dev libc-ares-dev libssl-dev libuv1-dev libconfuse-dev \
libgsasl-dev libcurl4-openssl-dev zlib1g-dev libidn2-dev libjansson-dev"
guests="python3 util-linux ca-certificates"
test="python3-pytest python3-pytest-xdist libcmocka-dev cppcheck clang-format mandoc spin strace openssl"
# The compiler with libFuzzer, its runtime, and llvm-symbolizer for stacks with names.
fuzz="clang libclang-rt-dev llvm"

packages_of() {
    case $1 in
    build) echo "$build" ;;
    check) echo "$build $guests $test" ;;
    demo)  echo "$build $guests openssl" ;;
    bench) echo "$build $guests openssl" ;;
    fuzz)  echo "$build python3 $fuzz" ;;
    soak)  echo "$build $guests $test $fuzz" ;;
    *) echo "packages.sh: unknown set '$1' (build, check, demo, bench, fuzz, soak)" >&2; exit 64 ;;
    esac
}

# A package is there when dpkg says so, or, for the build set on systems without
# dpkg, when its header can be included.
header_of() {
    case $1 in
    libdb5.3-dev) echo db.h ;;
    libmilter-dev) echo libmilter/mfapi.h ;;
    libc-ares-dev) echo ares.h ;;
    libssl-dev) echo openssl/ssl.h ;;
    libuv1-dev) echo uv.h ;;
    libconfuse-dev) echo confuse.h ;;
    libgsasl-dev) echo gsasl.h ;;
    libcurl4-openssl-dev) echo curl/curl.h ;;
    zlib1g-dev) echo zlib.h ;;
    libidn2-dev) echo idn2.h ;;
    libjansson-dev) echo jansson.h ;;
    libcmocka-dev) echo cmocka.h ;;
    esac
}

has() {
    header=$(header_of "$1")
    if [ -n "$header" ]; then
        [ -e "/usr/include/$header" ] ||
            printf '#include <stdarg.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <setjmp.h>\n#include <%s>\n' "$header" |
            ${CC:-cc} -E -x c - >/dev/null 2>&1
    else
        dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
    fi
}

missing() {
    for p in $(packages_of "$1"); do
        has "$p" || printf '%s ' "$p"
    done
}

verb=${1:-} set=${2:-build}
case $verb in
verify)
    lacking=$(missing "$set")
    [ -z "$lacking" ] && exit 0
    for p in $lacking; do
        h=$(header_of "$p")
        echo "coexist: missing Debian package $p${h:+ (no <$h>)}: apt-get install $p" >&2
    done
    exit 69
    ;;
install)
    lacking=$(missing "$set")
    [ -z "$lacking" ] && exit 0
    echo "coexist: installing Debian packages: $lacking"
    run=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 || {
            echo "coexist: installing needs root or sudo; run: apt-get install $lacking" >&2
            exit 77
        }
        run=sudo
    fi
    log=$(mktemp)
    if { $run apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
         $run apt-get install -y -qq --no-install-recommends $lacking; } >"$log" 2>&1; then
        rm -f "$log"
    else
        tail -5 "$log" >&2
        echo "coexist: apt-get could not install: $lacking (whole log: $log)" >&2
        exit 69
    fi
    ;;
*)
    echo "usage: packages.sh verify|install build|check|demo|bench|fuzz|soak" >&2
    exit 64
    ;;
esac
