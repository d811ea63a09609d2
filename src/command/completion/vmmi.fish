# SPDX-License-Identifier: Apache-2.0
# Completion of vmmi(1) for fish.
set -l verbs run list status attach abort detach plugins check
complete -c vmmi -f
complete -c vmmi -n "not __fish_seen_subcommand_from $verbs" -l version -s V -d 'print the version'
complete -c vmmi -l help -s h -d 'print help'
for line in 'run:migrate a guest' 'list:migrations in progress' 'status:what its plugin says' 'attach:watch a migration' \
        'abort:abort a migration' 'detach:have the plugin leave' 'plugins:the installed plugins' \
        'check:whether a migration could be started'
    set -l parts (string split -m 1 : $line)
    complete -c vmmi -n "not __fish_seen_subcommand_from $verbs" -a $parts[1] -d $parts[2]
end
complete -c vmmi -n "__fish_seen_subcommand_from $verbs" -l json -d 'for machines'
complete -c vmmi -n "__fish_seen_subcommand_from $verbs" -l plugin-dir -r -a '(__fish_complete_directories)' -d 'where plugins are'
complete -c vmmi -n "__fish_seen_subcommand_from $verbs" -l runtime-dir -r -a '(__fish_complete_directories)' -d 'where handles are'
complete -c vmmi -n '__fish_seen_subcommand_from status attach abort detach' -a '(vmmi list --names 2>/dev/null)'
complete -c vmmi -n '__fish_seen_subcommand_from run check' -a '(virsh list --name 2>/dev/null)'
complete -c vmmi -n '__fish_seen_subcommand_from run check' -l policy -x -a '(vmmi plugins --names 2>/dev/null)' -d 'the plugin'
complete -c vmmi -n '__fish_seen_subcommand_from run check' -l config -r -F -d 'configuration message'
complete -c vmmi -n '__fish_seen_subcommand_from run check' -l connect -x -d 'libvirt of the source'
complete -c vmmi -n '__fish_seen_subcommand_from run check' -l env -x -d 'variable for the plugin'
complete -c vmmi -n '__fish_seen_subcommand_from run' -l background -d 'start it and return'
complete -c vmmi -n '__fish_seen_subcommand_from run attach abort' -l interval -x -d 'seconds between two looks'
complete -c vmmi -n '__fish_seen_subcommand_from abort' -l force -d 'kill a plugin that does not end'
complete -c vmmi -n '__fish_seen_subcommand_from list plugins' -l names -d 'only names'
