// expect: \[tenon\.warmup\] warmup is longer
#ifdef FIXED
#else
#warning "[tenon.warmup] warmup is longer than the horizon. Shorten it"
#endif
// refused: compiled, but must not
