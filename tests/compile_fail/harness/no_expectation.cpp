#ifdef FIXED
#else
static_assert(false, "[tenon.warmup] warmup is longer than the horizon. Shorten it");
#endif
// refused: its first line is not
