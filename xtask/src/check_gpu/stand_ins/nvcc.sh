#!/bin/sh
# Stands in for NVIDIA's compiler: says a version, and writes empty files where kernels would be.
set -eu
mode= out= folder=. source=
while [ $# -gt 0 ]; do
    case $1 in
    --version)
        printf 'nvcc\n\n\nCuda compilation tools, release 13.0, V13.0.0\n'
        exit
        ;;
    -o)
        out=$2
        shift
        ;;
    --output-directory)
        folder=$2
        shift
        ;;
    --ptx | --lib | -c) mode=$1 ;;
    *.cu) source=$1 ;;
    esac
    shift
done
case $mode in
--ptx) : >"$folder/$(basename "$source" .cu).ptx" ;;
-c) : >"$out" ;;
--lib)
    rm -f "$out"
    ar crs "$out"
    ;;
esac
