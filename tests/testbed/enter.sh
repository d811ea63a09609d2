#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The first process of a host, started in namespaces of its own. It puts the host's root folder together, tells its process
# number and then only waits: whatever runs on the host is its descendant, so the host ends when it ends.
#
# Usage: enter.sh NAME ROOT_FOLDER HOST_FOLDER SHARED_FOLDER
set -eu
name=$1 root=$2 host=$3 shared=$4
read -r pid _ </proc/self/stat # /proc is still the machine's: the number by which the machine knows this process

hostname "$name"
ip link set lo up
top=$host/root
mount --rbind "$root" "$top"
# All hosts of one flavor share the root folder: none may write to it.
mount -o remount,bind,ro "$top"
mount -t proc proc "$top/proc"
mount --rbind /dev "$top/dev"
mount --rbind /sys "$top/sys"
mount -t tmpfs tmpfs "$top/tmp"
mount -t tmpfs tmpfs "$top/var/tmp"
mount --bind "$host/run" "$top/run"
mount --bind "$host/etc/hosts" "$top/etc/hosts"
mount --bind "$host/etc/libvirt" "$top/etc/libvirt"
mount --bind "$host/etc/sasl2" "$top/etc/sasl2"
for folder in lib cache log; do
	mount --bind "$host/$folder" "$top/var/$folder/libvirt"
done
# What both hosts see, under the name it has on this machine too: what guests boot, and the sockets they report to.
mkdir -p "$top$shared"
mount --bind "$shared" "$top$shared"

echo "$pid"
exec >/dev/null
# A shell that waits also takes in the host's orphans when they end. Zombies would hold libvirtd up: it waits for a QEMU
# that it started as a background process to be quite gone.
exec chroot "$top" sh -c 'sleep infinity & wait'
