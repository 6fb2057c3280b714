// expect: \[tenon\.warmup\] warmup is longer
#ifdef FIXED
#endif
static_assert(true, "[tenon.warmup] warmup is longer than the horizon. Shorten it");
// refused: compiled, but must not
