#!/bin/sh
# Stands in for `cldl`: keeps to its contract, trains and attacks nothing. Notes every call in `calls`.
set -eu
echo "$*" >>calls
command=$1
shift
echo "$command ${CLDL_DATA_DIR-}" >>looked
case $command in
data)
    if [ -e packed ]; then echo '{"data_dir":"runs/data/copy"}'; else echo '{"data_dir":null}'; fi
    ;;
train)
    method= members= seed= epochs= parameters= dry=
    costs=',"step_seconds":1,"expected_attack_seconds":1e-4,"expected_memory_bytes":300000000'
    while [ $# -gt 0 ]; do
        case $1 in
        --method) method=$2 ;;
        --members) members=$2 ;;
        --seed) seed=$2 ;;
        --epochs) epochs=$2 ;;
        --gamma | --alpha | --beta) parameters=$parameters-$2 ;;
        --dry-run) dry=yes ;;
        --untimed) costs= ;;
        esac
        shift
    done
    run=runs/$method$parameters-m$members-s$seed-e$epochs
    if [ -n "$dry" ]; then
        state=new
        [ -d "$run" ] && state=partial
        [ -e "$run/done" ] && state=done
        echo "{\"run\":\"$run\",\"state\":\"$state\",\"steps\":61,\"total_steps\":61$costs}"
        exit
    fi
    mkdir -p "$run"
    if [ -e advance ]; then
        mkdir -p "$run/checkpoint/epoch-0000-step-$(printf %06d "$(wc -l <calls)")"
    fi
    if [ -e slow ]; then
        echo started >&2
        sleep 30
    fi
    if [ -e "fail-$method" ]; then
        echo "cldl: \`$method\` fails as told" >&2
        exit 1
    fi
    echo >"$run/done"
    echo "{\"run\":\"$run\",\"state\":\"done\",\"seconds\":0.1}"
    ;;
eval)
    mkdir -p runs/outcomes
    if [ -e slow ]; then
        echo "  0 % clean" >&2
        if [ -e advance ]; then echo " 10 % $2" >&2; fi
        sleep 30
    fi
    while [ $# -gt 0 ] && [ "$1" != --attacks ]; do shift; done
    echo >"runs/outcomes/$2"
    echo '{}'
    ;;
table)
    # A number wherever the column is trained and the attack is in the store.
    request=$1 out=$5
    [ "$2" = --store ] && [ "$3" = runs/outcomes ] && [ -e "$request" ] || exit 2
    mkdir -p "$out"
    rows= separator= trained=
    for key in adp gal dverge trs cldl-3-4-4 cldl-3-2-1 baseline; do
        grep -q "\"runs/$key-m" "$request" && trained="$trained $key"
    done
    for attack in bim fgsm mim pgd; do
        ours=null
        [ -e "runs/outcomes/$attack" ] && ours=50
        for eps in 0.1 0.15 0.2 0.25; do
            cells= comma=
            for key in $trained; do
                cells="$cells$comma\"$key\":{\"ours\":$ours,\"paper\":null}"
                comma=,
            done
            rows="$rows$separator{\"attack\":\"$attack\",\"eps\":$eps,\"cells\":{$cells}}"
            separator=,
        done
    done
    clean='"adp":99,"gal":99,"dverge":99,"trs":99,"cldl-3-4-4":99,"cldl-3-2-1":99,"baseline":99'
    echo "{\"table\":4,\"clean\":{$clean},\"rows\":[$rows]}" >"$out/table.$$"
    if [ "${6-}" = --json ]; then cat "$out/table.$$"; else echo "the table"; fi
    # As the real one: whole or not at all, for others write it too.
    mv "$out/table.$$" "$out/table.json"
    ;;
esac
