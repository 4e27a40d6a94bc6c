# What the evaluators' tests share; sourced, after set -u, with $1 the build folder.
# $work is gone at the end; $failures counts.
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_mpi_yield_when_idle=1
failures=0
fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}
