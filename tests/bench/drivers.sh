#!/bin/sh
# Does what is typed: lines `OP SIZE COUNT`, for io on /dev/vda, or `p SIZE COUNT`, for pings of the gateway; says `did N` after
# each, N being the lines so far. A line `at SECONDS` before it: the next begins when the clock has a multiple of these.
grep -q bh.run= /proc/cmdline || exit 1 # it writes to /dev/vda: in the guest only

n=0
echo ready
stty -echo
while read -r op size count; do
	case $op in
	at) until [ $(($(date +%s) % size)) = 0 ]; do usleep 1000; done; continue ;;
	p) ping -A -q -s "$size" -c "$count" 10.0.2.2 >/dev/null || echo failed ;;
	net)
		ip addr add 10.0.2.15/24 dev eth0
		ip link set eth0 up
		until ping -c 1 -W 1 10.0.2.2 >/dev/null 2>&1; do :; done
		;;
	*) io "$op" /dev/vda "$size" "$count" || echo failed ;;
	esac
	n=$((n + 1))
	echo "did $n"
done
