// expect: \[tenon\.warmup\] warmup is longer
#ifdef FIXED
#else
static_assert(false, "[tenon.warmup] warmup is longer than the horizon. Shorten it");
#pragma message("a story")
#pragma message("that goes on")
#pragma message("and on")
#pragma message("and has")
#pragma message("no end")
#endif
// refused: the message has
