#!/bin/sh
# What the disk /dev/vda and the network to 10.0.0.2 cost. Prints as work.sh does; each piece is done with two counts, so
# that the difference is what COUNT operations take.
grep -q bh.run= /proc/cmdline || exit 1 # it writes to /dev/vda: in the guest only

report=
timed() { # NAME COUNT COMMAND...
	name=$1 count=$2
	shift 2
	from=$(tsc)
	"$@" "$count" >/dev/null 2>&1 || report="$report
$name: failed"
	to=$(tsc)
	report="$report
work $name $count ${from#tsc } ${to#tsc }"
}

read_4k() { dd if=/dev/vda of=/dev/null bs=4k iflag=direct count="$1"; }
read_64k() { dd if=/dev/vda of=/dev/null bs=64k iflag=direct count="$1"; }
ping_64() { ping -A -q -s 22 -c "$1" 10.0.0.2; }
ping_1500() { ping -A -q -s 1458 -c "$1" 10.0.0.2; }

dd if=/dev/zero of=/dev/vda bs=64k oflag=direct 2>/dev/null
for count in 500 2500; do
	timed blk_read_4k $count read_4k
done
for count in 50 250; do
	timed blk_read_64k_seq $count read_64k
done
ip addr add 10.0.0.1/24 dev eth0
ip link set eth0 up
until ping -c 1 -W 1 10.0.0.2 >/dev/null 2>&1; do :; done
for count in 200 1200; do
	timed net_packet_64 $count ping_64
	timed net_packet_1500 $count ping_1500
done
echo "$report"
echo "work done"
