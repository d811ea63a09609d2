# SPDX-License-Identifier: Apache-2.0
# Completion of vmmi(1) for bash.

# Offers those names on standard input that begin as the word does. Names of guests hold anything: compgen -W would run
# what is in them, and so would the command line if they were put there without quotes.
_vmmi_offer() {
    local name quoted
    while IFS= read -r name; do
        printf -v quoted %q "$name"
        [[ -n $name && ($name == "$1"* || $quoted == "$1"*) ]] && COMPREPLY+=("$quoted")
    done
}

_vmmi() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]}
    local common="--json --plugin-dir --runtime-dir --help"
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "run list status attach abort detach plugins check --help --version" -- "$current")
        return
    fi
    case $previous in
        --policy) _vmmi_offer "$current" < <(vmmi plugins --names 2>/dev/null); return ;;
        --config) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --plugin-dir | --runtime-dir) mapfile -t COMPREPLY < <(compgen -d -- "$current"); return ;;
        --connect | --env | --interval) return ;;
    esac
    if [[ $current != -* ]]; then
        case $verb in
            status | attach | abort | detach) _vmmi_offer "$current" < <(vmmi list --names 2>/dev/null) ;;
            run | check) ((COMP_CWORD == 2)) && _vmmi_offer "$current" < <(virsh list --name 2>/dev/null) ;;
        esac
        return
    fi
    local options=$common
    case $verb in
        run) options+=" --policy --config --connect --env --background --interval" ;;
        check) options+=" --policy --config --connect --env" ;;
        attach) options+=" --interval" ;;
        abort) options+=" --interval --force" ;;
        list | plugins) options+=" --names" ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
}
complete -F _vmmi vmmi
