#!/bin/sh
# apply.sh PATCH OUTPUT DEPFILE ROOT SOURCE...
# Copies what stage 4 is made of from ROOT to beside OUTPUT, applies PATCH there, and writes OUTPUT: a
# file that includes the SOURCEs for which the patch changes something. DEPFILE names what was copied.
set -eu

patch=$(realpath "$1")
output=$2
depfile=$3
root=$4
shift 4

copy=${output%.cpp}.src
rm -rf "$copy"
printf '%s:' "$output" >"$depfile"
for folder in common stage4_graceful_shutdown; do
  mkdir -p "$copy/$folder"
  cp "$root/$folder"/*.?pp "$copy/$folder"
  printf ' %s' "$root/$folder"/*.?pp | sed 's/ \([^/]\)/\\ \1/g' >>"$depfile"
done
# The build folder may be in a repository itself, to which git would apply the patch instead.
GIT_CEILING_DIRECTORIES=$(dirname "$(realpath "$copy")")
export GIT_CEILING_DIRECTORIES
if ! git -C "$copy" apply "$patch"; then
  echo "Is it in your stage 4 already, or has that changed? git diff tells." >&2
  exit 1
fi

for source; do
  echo "#include \"$(basename "$copy")/stage4_graceful_shutdown/$source\""
done >"$output"
