#!/usr/bin/env bash
# Prints symbols.h: the functions of the driver that a program built with the tag
# cuda asks for. After a change of what is called:
#
#   bash cuda/driver/libcuda/list.sh >symbols.new && mv symbols.new cuda/driver/libcuda/symbols.h
#
# A function that symbols.h lacks is an undefined reference when the program is
# linked; the names with a version are those that cuda.h gives them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
source .cuda/env

# Functions that C files of package cu define themselves are theirs; cuInit is
# libcuda.c's.
echo "// Made by list.sh."
go list -tags cuda -export -f '{{.Export}}' gorgonia.org/cu ./cuda/driver |
	xargs nm 2>/dev/null | # the archives have members that are not objects
	awk 'NF < 2 { next }
	     $(NF-1) == "U" && $NF ~ /^cu[A-Z]/ { asked[$NF] }
	     $(NF-1) == "T" { own[$NF] }
	     END { for (name in asked) if (!(name in own) && name != "cuInit") print "SYMBOL(" name ")" }' |
	LC_ALL=C sort
