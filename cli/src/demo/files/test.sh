#!/bin/sh
# Runs every test in tests/.
cd "$(dirname "$0")" || exit 2
passed=0
failed=0

# check NAME EXPECTED ACTUAL
check() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
        echo "PASS $1"
    else
        failed=$((failed + 1))
        echo "FAIL $1: expected '$2', got '$3'"
    fi
}

for file in tests/*.sh; do
    . "./$file"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
