#!/bin/sh
# What a Linux machine does for itself. Prints `work NAME FROM TO`: the time-stamp counter before and after each piece.
grep -q bh.run= /proc/cmdline || exit 1 # it mounts: in the guest only

report=
timed() { # NAME COMMAND...
	name=$1
	shift
	from=$(tsc)
	"$@" >/dev/null 2>&1
	to=$(tsc)
	report="$report
work $name ${from#tsc } ${to#tsc }"
}

forks() {
	i=0
	while [ $i -lt 500 ]; do
		/bin/busybox true
		i=$((i + 1))
	done
}

mkdir -p /mnt
mount -t tmpfs tmpfs /mnt
timed fault dd if=/dev/zero of=/mnt/file bs=1M count=64
timed sha256 sh -c 'head -c 16777216 /mnt/file | sha256sum'
timed fork_exec forks
timed syscall dd if=/dev/zero of=/dev/null bs=1 count=200000
umount /mnt
echo "$report"
echo "work done"
