// expect: \[tenon\.warmup\] warmup is longer
#ifdef FIXED
#else
#pragma message("first something else")
#pragma message("and then more of it")
static_assert(false, "[tenon.warmup] warmup is longer than the horizon. Shorten it");
#endif
// refused by g++: the sentence is not within the first 6 lines
