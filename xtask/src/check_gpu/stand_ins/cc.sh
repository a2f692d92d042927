#!/bin/sh
# Stands in for Apple's C compiler: says a version, and writes empty files where objects would be.
set -eu
while [ $# -gt 0 ]; do
    case $1 in
    --version)
        echo 'clang version 19.0.0'
        exit
        ;;
    -E) exit ;;
    -o)
        : >"$2"
        shift
        ;;
    esac
    shift
done
