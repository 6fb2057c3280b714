// Preloaded into a program that uses MKL, answers MKL's question whether the CPU is one of Intel's with yes, so that MKL
// takes its fast kernels on CPUs of other vendors. Undocumented and may vanish: a measurement's option, never a default,
// and then given to all that are compared.
extern "C" int mkl_serv_intel_cpu_true() { return 1; }
