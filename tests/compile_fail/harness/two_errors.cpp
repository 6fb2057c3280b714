// expect: \[tenon\.warmup\] warmup is longer
#ifdef FIXED
#else
static_assert(false, "[tenon.warmup] warmup is longer than the horizon. Shorten it");
static_assert(false, "[tenon.heads] the heads do not divide the width");
#endif
// refused: one mistake gave 2 errors
