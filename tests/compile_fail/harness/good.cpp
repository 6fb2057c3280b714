// expect: \[tenon\.warmup\] warmup is longer
#ifdef FIXED
constexpr bool warm = true;
#else
constexpr bool warm = false;
#endif
static_assert(warm, "[tenon.warmup] warmup is longer than the horizon. Shorten it");
