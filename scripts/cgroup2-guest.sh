#!/bin/busybox sh
# What happens in the machine of test-cgroup2.sh: first as the kernel's init, to put a root together; then in that root.

ROOT_CGROUP=/sys/fs/cgroup

# Ends the machine; the status is the host's to see.
end() { # STATUS
  printf "\\00$1" | dd of=/dev/port bs=1 seek=1281 conv=notrunc 2>/dev/null
  echo o >/proc/sysrq-trigger
  sleep 60
}

put_root_together() {
  export PATH=/bin
  /bin/busybox --install -s /bin
  mkdir -p /dev /proc /host /over /whole
  mount -t devtmpfs none /dev
  mount -t proc none /proc
  . /told
  for module in $MODULES; do modprobe "$module" || end 1; done
  mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro host /host || end 1
  mount -t tmpfs none /over
  mkdir /over/upper /over/work
  mount -t overlay -o lowerdir=/host,upperdir=/over/upper,workdir=/over/work none /whole || end 1
  mount -t proc none /whole/proc
  mount -t sysfs none /whole/sys
  mount -t devtmpfs none /whole/dev
  ln -s /proc/self/fd /whole/dev/fd
  for n in 0:stdin 1:stdout 2:stderr; do ln -s /proc/self/fd/${n%:*} /whole/dev/${n#*:}; done
  mkdir -p /whole/dev/shm
  mount -t tmpfs none /whole/dev/shm
  mount -t tmpfs none /whole/run
  mount -t ext4 /dev/vda /whole/mnt && chmod 1777 /whole/mnt || end 1
  mount -t cgroup2 none /whole$ROOT_CGROUP || end 1
  cp /told /whole/run/told
  umount /proc
  exec switch_root /whole /bin/bash "$root/scripts/cgroup2-guest.sh"
}

# From here on it is bash.
[ ! -e /told ] || put_root_together

failed=0

# Runs one thing, says how long it took, and remembers a failure.
run() { # WORD...
  local from=$SECONDS status=0
  printf '\n== %s\n' "$*"
  "$@" || { status=$?; failed=1; }
  printf '== status %s after %s s\n' "$status" $((SECONDS - from))
}

# The test program of a name; the host compiled it.
test_program() { # NAME [ARGUMENT...]
  local name=$1; shift
  "${programs[$name]:?there is no test program $name}" --color never "$@"
}

# Does something in a cgroup as a service manager delegates it to a user, after which only `dormouse-host` is left there,
# empty once all have ended.
in_service_of() { # UID WORD...
  local uid=$1 dir=$ROOT_CGROUP/test.service status=0; shift
  echo "+cpu +memory +pids" >$ROOT_CGROUP/cgroup.subtree_control
  mkdir "$dir"
  chown "$uid" "$dir" "$dir"/cgroup.{procs,threads,subtree_control}
  python3 -c 'import os, sys; os.setxattr(sys.argv[1], "trusted.delegate", b"1")' "$dir"
  (echo $BASHPID >"$dir/cgroup.procs"; "$@") || status=$?
  # A platform that was killed leaves the rest to its spawner, which may still be at it.
  local _; for _ in $(seq 200); do
    rmdir "$dir/dormouse-host" "$dir" 2>/dev/null && break
    sleep 0.1
  done
  local left; left=$(find $ROOT_CGROUP -mindepth 1 -type d)
  [ -z "$left" ] || { echo "left over: $left"; status=1; }
  return $status
}

part_jail() {
  for name in dormouse_jail limits removal delegated isolation sockets; do run test_program "$name"; done
}

part_process() {
  run test_program driver
}

# A few of the promises that rest on cgroups; a client of an SDK takes a minute each here.
part_product() {
  run test_program product isolation::what_must_hold
  run in_service_of 0 test_program product --exact \
    isolation::as_the_user_who_runs_the_tests::{memory_is_bounded,what_is_idle_stands_still}
  run in_service_of 65534 test_program product --exact \
    isolation::as_an_ordinary_user::{memory_is_bounded,what_is_idle_stands_still}
}

run_parts() {
  set -a; . /run/told; set +a
  declare -A programs
  local program part
  for program in $programs_told; do programs[${program%%=*}]=${program#*=}; done
  export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/mnt/home TMPDIR=/mnt
  mkdir "$HOME"
  ip link set lo up
  echo "Linux $(uname -r), controllers: $(cat $ROOT_CGROUP/cgroup.controllers)"
  for part in $parts; do "part_$part" || failed=1; done
  end $failed
}

run_parts
