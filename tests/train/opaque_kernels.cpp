// The opaque kernels of tests/zero, in a unit of their own.
#include "zero/kernel.cpp"
