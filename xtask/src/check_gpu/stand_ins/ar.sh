#!/bin/sh
# Stands in for an archiver: writes an empty archive.
set -eu
for argument; do
    case $argument in
    *.a) printf '!<arch>\n' >"$argument" ;;
    esac
done
