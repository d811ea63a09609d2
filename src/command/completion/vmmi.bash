# SPDX-License-Identifier: Apache-2.0
# Completion of vmmi(1) for bash.
_vmmi() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]}
    local common="--json --plugin-dir --runtime-dir --help"
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "run list status attach abort detach plugins check --help --version" -- "$current")
        return
    fi
    case $previous in
        --policy) mapfile -t COMPREPLY < <(compgen -W "$(vmmi plugins --names 2>/dev/null)" -- "$current"); return ;;
        --config) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --plugin-dir | --runtime-dir) mapfile -t COMPREPLY < <(compgen -d -- "$current"); return ;;
        --connect | --env | --interval) return ;;
    esac
    local options=$common
    case $verb in
        run) options+=" --policy --config --connect --env --background --interval" ;;
        check) options+=" --policy --config --connect --env" ;;
        attach) options+=" --interval" ;;
        abort) options+=" --interval --force" ;;
        list | plugins) options+=" --names" ;;
    esac
    local words=$options
    if [[ $current != -* ]]; then
        words=
        case $verb in
            status | attach | abort | detach) words=$(vmmi list --names 2>/dev/null) ;;
            run | check) ((COMP_CWORD == 2)) && words=$(virsh list --name 2>/dev/null) ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _vmmi vmmi
