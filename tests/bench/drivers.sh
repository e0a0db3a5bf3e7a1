#!/bin/sh
# Does what is typed: lines `OP SIZE WARM COUNT [wait]`, for io on /dev/vda; `net`; or `p SIZE COUNT`, for pings of the gateway
# between marks. Says `did N` after each, N being the lines so far.
grep -q bh.run= /proc/cmdline || exit 1 # it writes to /dev/vda: in the guest only

n=0
echo ready
stty -echo
while read -r op size warm count wait; do
	case $op in
	p)
		io b
		ping -A -q -s "$size" -c "$warm" 10.0.2.2 >/dev/null || echo failed
		io e
		;;
	net)
		ip addr add 10.0.2.15/24 dev eth0
		ip link set eth0 up
		until ping -c 1 -W 1 10.0.2.2 >/dev/null 2>&1; do :; done
		;;
	*) io "$op" /dev/vda "$size" "$warm" "$count" $wait || echo failed ;;
	esac
	n=$((n + 1))
	echo "did $n"
done
