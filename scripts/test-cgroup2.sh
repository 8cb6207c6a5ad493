#!/usr/bin/env bash
# Runs what depends on cgroup version 2, or on a kernel older than the host's, in an emulated machine:
#
#   scripts/test-cgroup2.sh CACHE [PART...]     jail, process, product; all of them without one
#
# The machine is QEMU in software, so this takes no rights over the host and no virtualisation. It has the kernel of a
# Debian package that is unpacked, not installed; its root is the host's, read-only below an overlay; it has no network.
# What runs in it, part by part, is in cgroup2-guest.sh.
set -euo pipefail

cache=$1; shift
root=$(cd "$(dirname "$0")/.." && pwd)
# The name of the kernel's package; a metapackage stands for its newest version.
KERNEL=${KERNEL:-linux-image-amd64}
# How long the machine may run, in seconds.
GUEST_SECS_MAX=${GUEST_SECS_MAX:-5400}
GUEST_CORES=2
GUEST_MEMORY_MB=4096
# The disk is sparse, and removed at the end.
GUEST_DISK_GB=16
# What the guest needs to see its devices and file systems; with all that these depend on.
MODULES='virtio_pci virtio_blk 9p 9pnet_virtio overlay crc32c_generic ext4 loop'

say() { printf '%s\n' "$*" >&2; }

install_tools() {
  command -v qemu-system-x86_64 >/dev/null && return 0
  local install=(apt-get install -y -q --no-install-recommends qemu-system-x86)
  command -v apt-get >/dev/null || { say "qemu-system-x86_64 is missing; install it with your package manager"; return 1; }
  if [ "$(id -u)" = 0 ]; then apt-get update -q >/dev/null; elif command -v sudo >/dev/null; then install=(sudo "${install[@]}"); else
    say "QEMU is missing. As root, run: ${install[*]}"; return 1
  fi
  say "installing qemu-system-x86"
  DEBIAN_FRONTEND=noninteractive "${install[@]}" >/dev/null
}

# Answers the package of the newest kernel that the metapackage names, such as linux-image-6.1.0-28-amd64.
kernel_package() {
  local named
  named=$(apt-cache depends --important "$KERNEL" | awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ { print $2; exit }')
  echo "${named:-$KERNEL}"
}

# Unpacks kernel and busybox once for each version, and packs the initial file system with the modules named above.
machine() {
  local package version dir unfinished release list
  package=$(kernel_package)
  version=$(apt-cache show --no-all-versions "$package" | awk '$1 == "Version:" { print $2; exit }')
  [ -n "$version" ] || { say "apt knows no package $package; run: apt-get update"; return 1; }
  dir=$cache/guest-$package-$version
  if [ ! -e "$dir" ]; then
    say "unpacking $package $version"
    mkdir -p "$cache"
    unfinished=$(mktemp -d "$dir.XXXXXX")
    (cd "$unfinished" && apt-get download -q "$package" busybox-static >/dev/null 2>&1) || { rm -rf "$unfinished"; say "$package cannot be downloaded"; return 1; }
    for file in "$unfinished"/*.deb; do dpkg-deb -x "$file" "$unfinished"; rm "$file"; done
    "$unfinished/bin/busybox" depmod -b "$unfinished" "$(basename "$unfinished"/lib/modules/*)"
    mv -T "$unfinished" "$dir"
  fi
  release=$(basename "$dir"/lib/modules/*)
  mkdir -p "$work/first/bin" "$work/first/lib/modules/$release"
  cp "$dir/bin/busybox" "$work/first/bin/"
  list=$dir/lib/modules/$release/modules.dep
  cp "$list" "$work/first/lib/modules/$release/"
  grep -E "/(${MODULES// /|})\.ko:" "$list" | tr -d : | tr ' ' '\n' | sort -u |
    (cd "$dir/lib/modules/$release" && xargs cp --parents -t "$work/first/lib/modules/$release")
  cp "$root/scripts/cgroup2-guest.sh" "$work/first/init"
  # What the guest is told, to be read by its shell.
  { for name in root parts programs_told MODULES "${!DORMOUSE_@}"; do declare -p "$name"; done | sed 's/^declare -[^ ]* //'; } >"$work/first/told"
  (cd "$work/first" && find . | "$dir/bin/busybox" cpio -o -H newc 2>/dev/null | gzip -1 >"$work/initrd")
  ln -s "$dir"/boot/vmlinuz-* "$work/kernel"
}

# Builds what is tested, and answers NAME=PATH for each test program.
test_programs() {
  cargo build --quiet --package dormouse >&2
  cargo test --quiet --no-run --message-format=json --package dormouse-jail --package dormouse-process --package dormouse-tests |
    python3 -c '
import json, sys
for message in map(json.loads, sys.stdin):
    if message.get("executable"):
        print(message["target"]["name"], message["executable"], sep="=")'
}

boot() {
  truncate -s "${GUEST_DISK_GB}G" "$work/disk"
  PATH=$PATH:/sbin:/usr/sbin mkfs.ext4 -q "$work/disk"
  local status=0
  # The guest ends the machine with its own exit status, 0 as 1, 1 as 3; 0 is a machine that broke down.
  timeout "$GUEST_SECS_MAX" qemu-system-x86_64 -machine q35 -accel tcg,thread=multi -cpu max -smp "$GUEST_CORES" -m "$GUEST_MEMORY_MB" \
    -nodefaults -nographic -no-reboot -serial stdio -device isa-debug-exit,iobase=0x501,iosize=1 \
    -kernel "$work/kernel" -initrd "$work/initrd" -append "console=ttyS0 panic=-1 quiet mitigations=off" \
    -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
    -drive "file=$work/disk,format=raw,if=virtio,cache=unsafe" </dev/null || status=$?
  case $status in
  1) say "passed" ;;
  124) say "not done within $GUEST_SECS_MAX seconds (GUEST_SECS_MAX)"; return 1 ;;
  *) say "failed"; return 1 ;;
  esac
}

parts=${*:-jail process product}
cd "$root"
programs_told=$(test_programs)
work=$(mktemp -d "${TMPDIR:-/tmp}/dormouse-guest-XXXXXX")
trap 'rm -rf "$work"' EXIT
install_tools
machine
boot
