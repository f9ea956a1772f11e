#!/bin/sh
# What the machine `one` does while the tests beside this file run in the machine `two`.
# Its output is shown; it is ended when they are done.

bun tests/vm/pair/one.ts &

# A server for ib_read_lat serves one client.
while :; do
  ib_read_lat -d rxe0 -x 1 -n 50 >/dev/null 2>&1
done
