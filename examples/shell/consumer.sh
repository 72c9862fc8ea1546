#!/bin/sh
# Reads a consumer of kind pull with the nats CLI: eval "$(hookspan nats-env --consumer NAME)"; consumer.sh NAME COMMAND [ARG...]
# COMMAND gets the body of an event on its standard input and has less than the lease for it, 30 s unless configured.
# It exits with 0: done; 65: a dead letter; anything else: again in 5 s. Those of kind exec do the same, and that can do more.
set -u
name=$1
shift
trap 'exit 0' INT TERM
while :; do
	message=$(nats consumer next HOOKSPAN_EVENTS "$name" --no-ack --timeout 30s) || { sleep 1; continue; } # none yet, or no server
	# --ack and --term would say so before COMMAND has begun. The subject to say it to afterwards is made of three numbers in
	# the first line, "… tries: 1 / cons seq: 2 / str seq: 3 / …", and of a time and a count that no server looks at.
	ack=$(printf '%s\n' "$message" | sed -nE '1s|.* tries: ([0-9]+) / cons seq: ([0-9]+) / str seq: ([0-9]+) / .*|\1.\3.\2.0.0|p')
	HOOKSPAN_EVENT_ID=$(printf '%s\n' "$message" | sed -n 's/^  ce-id: //p')
	export HOOKSPAN_EVENT_ID # the same when the event comes twice
	printf '%s\n' "$message" | sed '1,/^Data:$/d' | "$@"
	case $? in
	0) verdict=+ACK ;;
	65) verdict="+TERM $1 exited with 65" ;;
	*) verdict='-NAK {"delay": 5000000000}' ;; # nanoseconds, at most two minutes
	esac
	nats publish --no-templates --quiet -- "\$JS.ACK.HOOKSPAN_EVENTS.$name.$ack" "$verdict"
done
