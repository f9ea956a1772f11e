#!/bin/sh
# The first process of a machine: mounts, loads modules, runs the host's command, ends the machine.
# tests/vm/machine.ts starts it. /host is the folder it shares: `settings` and `command` come from
# there, `begun` and `exit` go there.

export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root TMPDIR=/tmp LANG=C.UTF-8

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs tmpfs /run
# What a kernel may lack is not missed before a test wants it.
mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null
mount -t bpf bpf /sys/fs/bpf 2>/dev/null
mount -t securityfs securityfs /sys/kernel/security 2>/dev/null
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null

die() {
  echo "init: $1"
  poweroff -f
}

# share TAG FOLDER OPTIONS: mounts a folder of the host.
share() {
  mkdir -p "$2"
  mount -t 9p -o "trans=virtio,version=9p2000.L,msize=524288,$3" "$1" "$2" ||
    die "cannot mount the host's folder at $2"
}

modprobe -a virtio_pci 9p 9pnet_virtio || die "the kernel's modules for 9p do not load"
share host /host cache=none
. /host/settings

hostname "$VM_NAME"
[ -z "$VM_MODULES" ] || modprobe -a $VM_MODULES || echo "init: not all modules load: $VM_MODULES"
share repo /repo ro,cache=loose
share bun /opt/bun ro,cache=loose
ln -s "/opt/bun/$VM_BUN" /usr/local/bin/bun
[ -z "$VM_OUT" ] || share out /out cache=none

ip link set lo up
interface=lo
if [ -n "$VM_ADDRESS" ]; then
  ip link set eth0 up
  ip addr add "$VM_ADDRESS" dev eth0
  interface=eth0
fi
[ ! -d /sys/module/rdma_rxe ] || rdma link add rxe0 type rxe netdev "$interface" ||
  die "no RDMA device on $interface"

cd /repo
if [ -n "$VM_SHELL" ]; then
  setsid cttyhack sh -l
  poweroff -f
fi

# Through a pipe, so that a program may open /dev/stdout, and takes it for no terminal.
stty raw -echo -F /dev/ttyS1
mkfifo /run/output
cat /run/output >/dev/ttyS1 &
carrier=$!
: >/host/begun
sh /host/command >/run/output 2>&1 </dev/null
echo $? >/run/exit
# What the command left behind would hold the pipe open.
left=
for process in /proc/[0-9]*; do
  pid=${process#/proc/}
  case $pid in
    1 | $carrier) ;;
    *) left="$left $pid" ;;
  esac
done
kill -9 $left 2>/dev/null
wait $carrier
mv /run/exit /host/exit
poweroff -f
